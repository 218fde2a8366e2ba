"""Pictures of what was learned: their numbers, their files, what has none."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from tests.support.networks import random_network
from vidshift import checkpoints, cli, create, load, read_clip
from vidshift.config import Config, DataConfig, ModelConfig
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.motion_clips import CLASSES, OrderedMotion
from vidshift.data.sources.split import Split
from vidshift.description import Description
from vidshift.kernels import Frames
from vidshift.nets.weights import split
from vidshift.report import draw_attention, draw_shifts, draw_shifts_3d
from vidshift.shifts.attention import WholeShift
from vidshift.shifts.rubiks import Shift3D

OPTIONS = OrderedMotion(
    side=16, frames=8, train_clips=12, validation_clips=12, test_clips=18
)


def saved(folder, data_dir, backbone, temporal="tsn", change=lambda p, s: None, **own):
    """A checkpoint of a random network, its arrays changed in place."""
    config = Config(
        model=ModelConfig(backbone, temporal, dropout=0.0, **own),
        data=DataConfig(
            "ordered_motion",
            dir=str(data_dir),
            options=OPTIONS,
            num_frames=4,
            resize=16,
            crop=16,
        ),
    )
    config.optim.attention.budget = 0.25
    description = Description.of(config, Split(source=[], classes=CLASSES))
    model = random_network(lambda: create(**description.model))
    _, params, stats = split(model)
    params, stats = jax.tree.map(np.array, (params, stats))
    change(params, stats)
    checkpoints.write_weights(folder, params, stats, description.to_json())
    return folder


def draw(capsys, run, *options) -> dict[str, dict]:
    """The numbers of every picture of a run."""
    assert cli.run(["pictures", f"--run={run}", *options]) == 0
    files = json.loads(capsys.readouterr().out)
    for file in files.values():
        assert pathlib.Path(file).read_bytes().startswith(b"\x89PNG")
    return {
        kind: json.loads(pathlib.Path(file).with_suffix(".json").read_text())
        for kind, file in files.items()
    }


@pytest.mark.slow
def test_which_shifts_the_attention_chose(tmp_path, data_dir, capsys):
    def change(params, stats):
        for stage, channels in enumerate((27, 27, 54)):
            weight = np.tile(np.float32([0, 0.1, 1]), (channels, 1))  # the next frame
            weight[: 9 * stage] = [1, 0.1, 0]
            params[f"stages.{stage}.0.attention.weight"] = weight
            stats[f"stages.{stage}.0.attention.temperature"] = np.float32(1e-3)
        params["stages.1.0.attention.weight"][0] = [1, 1, 0]  # undecided

    run = saved(
        tmp_path, data_dir, "rubiksnet_micro", change=change, variant="attention"
    )
    found = draw(capsys, run)
    assert set(found) == {"attention", "shifts"}
    figures = found["attention"]
    assert figures["distances"] == [-1, 0, 1] and figures["budget"] == 0.25
    assert (figures["channels"], figures["undecided"]) == (108, 1)
    shares = [layer["argmax"] for layer in figures["layers"]]
    expected = [[0, 0, 1], [9 / 27, 0, 18 / 27], [18 / 54, 0, 36 / 54]]
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    assert figures["moved"]["argmax"] == pytest.approx(1)
    assert figures["moved"]["soft"] == pytest.approx(1 - 0.5 / 27 / 3)
    assert [group["layers"] for group in figures["groups"]] == [[1, 2], [3, 3]]
    layer = found["shifts"]["layers"][0]
    assert "t" not in layer and len(layer["h"]) == 27
    assert cli.run(["pictures", f"--run={run}", "--turn"]) == 2
    *table, line = capsys.readouterr().err.splitlines()
    assert table[:3] == [
        "| layers | channels that move (largest tap) | attention | budget |",
        "|---|---|---|---|",
        "| all | 1.00 | 0.99 | 0.25 |",
    ]
    assert line.endswith("has nothing to turn: it learns no shift in three axes")


def test_how_far_shifts_go(tmp_path, data_dir, capsys):
    def change(params, stats):
        for stage, channels in enumerate((27, 54, 108)):
            shift = np.tile(np.float32([[0.75], [-1.25], [9]]), (1, channels))
            params[f"stages.{stage}.0.shift.shift"] = shift

    own = {"variant": "quantized"}
    run = saved(tmp_path, data_dir, "rubiksnet_micro", change=change, **own)
    found = draw(capsys, run)
    figures, views = found["shifts"], found["shifts-3d"]
    assert len(figures["layers"]) == 3 and figures["max_shift"]["w"] == 2
    assert [layer["number"] for layer in views["layers"]] == [1, 2, 3]
    assert all(set(layer["t"]) == {1} for layer in views["layers"])
    for layer, channels in zip(figures["layers"], (27, 54, 108), strict=True):
        assert layer["channels"] == layer["beyond_max_shift"] == channels
        for axis, value in zip("thw", (1, -1, 2), strict=True):
            assert set(layer[axis]) == {value}
            assert layer["distance"][axis]["mean"] == pytest.approx(abs(value))


@pytest.mark.slow
def test_fixed_rows_beside_learned_ones(tmp_path, data_dir, capsys):
    own = {"variant": "interpolated", "space": "fixed"}
    run = saved(tmp_path, data_dir, "rubiksnet_micro", **own)
    figures = draw(capsys, run)["shifts"]
    assert figures["fixed"] == {"time": False, "space": True}
    for layer in figures["layers"]:
        # ShiftNet's window: its nine places have as many channels each.
        places = list(zip(layer["h"], layer["w"], strict=True))
        counts = {place: places.count(place) for place in places}
        assert len(counts) == 9 and set(counts.values()) == {layer["channels"] // 9}
        assert len(set(layer["t"])) > 9


def test_a_view_that_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(draw_shifts_3d, "TURN_FRAMES", 3)
    shifts = np.random.default_rng(0).uniform(-2, 2, (8, 3, 20)).round(4).tolist()
    layers = [{"name": str(i)} | dict(zip("thw", s)) for i, s in enumerate(shifts)]
    views = draw_shifts_3d.views_of({"layers": layers})
    assert [layer["number"] for layer in views["layers"]] == [1, 3, 6, 8]
    assert views["layers"][1]["w"] == shifts[2][2]
    views["layers"] = views["layers"][:1]
    draw_shifts_3d.turn(tmp_path / "x.gif", "a network", views)
    picture = Image.open(tmp_path / "x.gif")
    assert picture.n_frames == 3
    frames = []
    for number in range(3):
        picture.seek(number)
        frames.append(np.asarray(picture.convert("L"), int))
    assert abs(frames[0] - frames[1]).max() > 50 < abs(frames[1] - frames[2]).max()


def test_the_share_of_groups_of_layers():
    """Figure 5's table of the Large network: 1-4, 5-12, 13-48 and 49-51."""
    layers = []
    for stage, blocks in enumerate((1, 3, 8, 36, 3)):
        for block in range(blocks):
            layer = WholeShift(4)
            layer.distance[:stage] = 1 if block else -1
            layers.append((f"stages.{stage}.{block}.attention", layer))
    figures = draw_attention.shares_by_layer(layers, 0.25)
    groups = figures["groups"]
    assert [g["layers"] for g in groups] == [[1, 4], [5, 12], [13, 48], [49, 51]]
    shares = [3 / 16, 0.5, 0.75, 1]
    np.testing.assert_allclose([g["argmax"] for g in groups], shares)
    assert draw_attention.lines(figures)[3:] == [
        "| 1-4 | 0.19 | 0.19 | 0.25 |",
        "| 5-12 | 0.50 | 0.50 | 0.25 |",
        "| 13-48 | 0.75 | 0.75 | 0.25 |",
        "| 49-51 | 1.00 | 1.00 | 0.25 |",
    ]


def test_five_taps_and_a_hardened_network(tmp_path):
    layer = WholeShift(4, taps=5)
    layer.distance[...] = jnp.array([-2, 0, 1, 1])
    figures = draw_attention.shares_by_layer([("only", layer)], 0.5)
    assert figures["distances"] == [-2, -1, 0, 1, 2] and figures["undecided"] == 0
    (found,) = figures["layers"]
    assert found["argmax"] == found["soft"] == [0.25, 0, 0.25, 0.5, 0]
    assert figures["moved"] == {"argmax": 0.75, "soft": 0.75}
    draw_attention.draw(tmp_path / "x.png", "five taps", figures)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_causal_network_has_no_shift_ahead(tmp_path):
    layer = WholeShift(4, causal=True)
    layer.distance[...] = jnp.array([-2, 0, -1, 0])
    figures = draw_attention.shares_by_layer([("only", layer)], 0.25)
    assert figures["distances"] == [-2, -1, 0]
    assert figures["layers"][0]["argmax"] == [0.25, 0.25, 0.5]
    assert figures["moved"] == {"argmax": 0.5, "soft": 0.5}
    draw_attention.draw(tmp_path / "x.png", "causal", figures)
    shift = Shift3D(4, causal=True, rngs=nnx.Rngs(0))
    shift.shift[0] = jnp.array([0.5, -0.5, 9.0, 0.0])
    (found,) = draw_shifts.shifts_by_layer([("only", shift)])["layers"]
    assert found["t"] == [-0.5, -0.5, -4, 0] and found["beyond_max_shift"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("temporal", ["gsm", "gsf"])
def test_gates_over_clips(tmp_path, data_dir, capsys, temporal):
    def change(params, stats):
        for name in params:
            if name.endswith("gate.kernel"):
                params[name][:] = 0
            if name.endswith("gate.bias"):
                params[name][:] = [0.5, -1.0]

    run = saved(tmp_path, data_dir, "resnet_tiny", temporal, change=change, ratio=0.5)
    # A batch, and two clips of the next, whose other rows count for nothing.
    options = ("--split=test", "--clips=18", f"--out={tmp_path / 'out'}")
    figures = draw(capsys, run, *options)["gates"]
    assert figures["clips"] == 18 and len(figures["layers"]) == 3
    places = [8 * 8, 4 * 4, 2 * 2]
    for layer, size in zip(figures["layers"], places, strict=True):
        # 18 clips of 4 frames.
        assert [sum(counts) for counts in layer["counts"]] == [18 * 4 * size] * 2
        np.testing.assert_allclose(layer["mean"], np.tanh([0.5, -1]), rtol=1e-5)
        np.testing.assert_allclose(layer["mean_absolute"], np.tanh([0.5, 1]), rtol=1e-5)
        edges = np.array(figures["edges"])
        for counts, gate in zip(layer["counts"], np.tanh([0.5, -1]), strict=True):
            (full,) = np.flatnonzero(counts)
            assert edges[full] <= gate <= edges[full + 1]


@pytest.mark.slow
def test_gates_are_those_that_the_network_uses(tmp_path, data_dir, capsys):
    run = saved(tmp_path, data_dir, "resnet_tiny", "gsf", ratio=0.5)
    figures = draw(capsys, run, "--clips=2")["gates"]
    model = load(run)
    part = open_split(
        "ordered_motion", "validation", data_dir=str(data_dir), options=OPTIONS
    )
    seen = []
    for row in (0, 6):  # spread evenly over the split's 12
        clip = read_clip(part.source[row]["video"], run)
        x = model.stem(Frames.of(jnp.asarray(clip)))
        unit = model.stages[0][0].units
        gate = unit[1].between
        x = unit[1].conv(unit[0](x))
        moving = x.like(gate.in_turns(x.data)[..., : gate.processed])
        h = gate._normalised(moving)
        seen.append(np.tanh(gate.gate(h.like(jax.nn.relu(h.data)))))
    seen = np.concatenate([np.asarray(s).reshape(-1, 2) for s in seen])
    layer = figures["layers"][0]
    np.testing.assert_allclose(layer["mean"], seen.mean(0), atol=1e-5)
    counts = [np.histogram(seen[:, i], figures["edges"])[0] for i in (0, 1)]
    assert np.abs(np.array(counts) - layer["counts"]).sum() <= 4  # at the edges


@pytest.mark.parametrize(
    ("backbone", "temporal", "own"),
    [
        ("resnet_tiny", "gsf", {"ratio": 0.5, "gate": 1}),
        (
            "rubiksnet_micro",
            "tsn",
            {"variant": "quantized", "time": "fixed", "space": "fixed"},
        ),
    ],
)
def test_networks_without_pictures(tmp_path, data_dir, capsys, backbone, temporal, own):
    run = saved(tmp_path, data_dir, backbone, temporal, **own)
    assert cli.run(["pictures", f"--run={run}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vidshift pictures: error: {backbone}/{temporal}")
    assert "has nothing to draw: a RubiksNet has shifts" in line


def test_what_is_no_run(tmp_path, capsys):
    assert cli.run(["pictures", f"--run={tmp_path}"]) == 2
    assert "is no run or checkpoint" in capsys.readouterr().err


def test_data_that_is_not_there(tmp_path, data_dir, capsys):
    run = saved(tmp_path / "run", data_dir, "resnet_tiny", "gsf", ratio=0.5)
    gone = tmp_path / "gone"
    assert cli.run(["pictures", f"--run={run}", f"--data_dir={gone}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == f"vidshift pictures: error: there is no folder {gone}: give --data-dir"
    )
    assert not gone.exists()
