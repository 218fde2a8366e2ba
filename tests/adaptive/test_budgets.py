"""The table of budgets: its choices, its statistics, and the command on a real run."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import vidshift
from tests.support import commands
from tests.support.networks import random_clips, random_network
from vidshift import budgets, cli, create, train_view
from vidshift.adaptive import SubNetwork, narrow, table
from vidshift.adaptive.calibrate import batch_statistics
from vidshift.config import Config
from vidshift.data import Split
from vidshift.description import Description
from vidshift.evaluation.protocols import chosen
from vidshift.nets.weights import named_arrays, split
from vidshift.recipes import slow
from vidshift.report.draw_budgets import draw_budgets
from vidshift.run import Run
from vidshift.tasks import MULTI_LABEL, MultiTask

ONE_VIEW = table.Conditions("validation", "1x1", "logits", 200, 32)
THIRTY = ONE_VIEW._replace(protocol="30-view", average="softmax")


def row(name, gflops, top1, crop=224, conditions=ONE_VIEW, **options):
    return table.BudgetRow(
        SubNetwork.parse(name), crop, gflops, 10, top1, 1.0, conditions, **options
    )


TABLE = table.Table(
    "7",
    "cpu",
    (
        row("224x8,1", 40.0, 0.75, latency_ms=90.0),
        row("224x4,1", 20.0, 0.74, latency_ms=50.0),
        row("128x8,1", 18.0, 0.60, latency_ms=40.0),
        row("224x4,0.5", 5.0, 0.70, latency_ms=30.0),
        row("128x4,0.5", 5.0, 0.69),
    ),
)


def test_the_best_for_each_budget():
    names = [str(found.subnetwork) for found in TABLE.pareto()]
    assert names == ["224x4,0.5", "224x4,1", "224x8,1"]
    assert str(TABLE.choose(gflops=19).subnetwork) == "224x4,0.5"
    assert str(TABLE.choose(gflops=20).subnetwork) == "224x4,1"
    assert str(TABLE.choose(latency_ms=45).subnetwork) == "224x4,0.5"
    with pytest.raises(
        ValueError, match="within gflops=4; the cheapest, 224x4,0.5, has 5"
    ):
        TABLE.choose(gflops=4)
    with pytest.raises(ValueError, match="give one of"):
        TABLE.choose()
    with pytest.raises(ValueError, match="made without"):
        table.Table("7", "cpu", TABLE.rows[-1:]).choose(latency_ms=3)
    with pytest.raises(ValueError, match="has no 1x1,1; it has 224x8,1"):
        TABLE.find(SubNetwork(1.0, 1, 1))


def test_a_table_is_read_as_it_was_written(tmp_path):
    table.write(tmp_path, TABLE)
    assert table.read(tmp_path) == TABLE
    content = json.loads((tmp_path / "table.json").read_text())
    best = [one["name"] for one in content["rows"] if one["pareto"]]
    assert best == ["224x8,1", "224x4,1", "224x4,0.5"]
    assert content["rows"][0] == {
        "name": "224x8,1",
        "width": 1.0,
        "side": 224,
        "frames": 8,
        "crop": 224,
        "gflops": 40.0,
        "parameters": 10,
        "top1": 0.75,
        "top5": 1.0,
        "latency_ms": 90.0,
        "split": "validation",
        "protocol": "1x1",
        "average": "logits",
        "calibration_batches": 200,
        "calibration_clips": 32,
        "pareto": True,
    }
    del content["rows"][1]["protocol"]
    (tmp_path / "table.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="do not say their protocol: an older version"):
        table.read(tmp_path)
    (tmp_path / "table.json").write_text('{"rows": [{}]}')
    with pytest.raises(ValueError, match="no table of budgets"):
        table.read(tmp_path)
    with pytest.raises(ValueError, match="vidshift budgets"):
        table.read(tmp_path / "elsewhere")


def test_rows_of_another_call_are_kept_for_one_checkpoint():
    better = table.Table("7", "cpu", (row("224x4,1", 20.0, 0.9),))
    merged = table.merge(better, TABLE)
    assert len(merged.rows) == 5
    assert merged.find(SubNetwork(1.0, 224, 4)).top1 == 0.9
    assert table.merge(table.Table("8", "cpu", better.rows), TABLE).rows == better.rows
    elsewhere = table.merge(table.Table("7", "gpu", better.rows), TABLE)
    assert [r.latency_ms for r in elsewhere.rows] == [None] * 5


def test_rows_of_different_evaluations_never_mix(tmp_path):
    others = (
        row("224x8,1", 40.0, 0.80, conditions=THIRTY),
        row("256x8,1", 54.0, 0.82, 256, conditions=THIRTY),
        row("128x4,0.5", 5.0, 0.76, conditions=THIRTY),
    )
    both = table.merge(table.Table("7", "cpu", others), TABLE)
    assert len(both.rows) == 8  # one sub-network under both stays twice
    assert [*both.parts()] == [THIRTY, ONE_VIEW]
    for choice in (both.pareto, lambda: both.choose(gflops=20)):
        with pytest.raises(ValueError, match=r"different tests.*30-view.*; 1x1"):
            choice()
    thirty = both.under(protocol="30-view")
    assert set(thirty.rows) == set(others)
    assert str(thirty.choose(gflops=50).subnetwork) == "224x8,1"
    # 128x4,0.5 has a higher top-1 there than any row of a single view.
    assert str(both.under(protocol="1x1").choose(gflops=20).subnetwork) == "224x4,1"
    with pytest.raises(ValueError, match="no row of protocol=10x3; it has 30-view"):
        both.under(protocol="10x3")
    for field, other in (
        ("split", "test"),
        ("average", "softmax"),
        ("calibration_batches", 100),
        ("calibration_clips", 16),
    ):
        changed = ONE_VIEW._replace(**{field: other})
        mixed = (*TABLE.rows, row("224x2,1", 9.0, 0.9, conditions=changed))
        with pytest.raises(ValueError, match="different tests"):
            table.Table("7", "cpu", mixed).pareto()
    table.write(tmp_path, both)
    assert table.read(tmp_path) == both
    content = json.loads((tmp_path / "table.json").read_text())
    fronts = [(r["protocol"], r["name"]) for r in content["rows"] if r["pareto"]]
    assert sorted(fronts) == [
        ("1x1", "224x4,0.5"),
        ("1x1", "224x4,1"),
        ("1x1", "224x8,1"),
        ("30-view", "128x4,0.5"),
        ("30-view", "224x8,1"),
        ("30-view", "256x8,1"),
    ]
    # Statistics are of a crop and a calibration, not of a protocol.
    files = {r.subnetwork: r.file for r in TABLE.rows}
    assert files[others[0].subnetwork] == others[0].file
    fewer = others[0].conditions._replace(calibration_batches=100)
    assert row("224x8,1", 40.0, 0.8, conditions=fewer).file != others[0].file
    draw_budgets(tmp_path / "budgets.png", both)
    assert (tmp_path / "budgets.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("protocol", "crop", "short", "seen"),
    [
        ("1x1", None, 256, 224),
        ("1x1", 224, 256, 224),
        ("1x1", 256, 256, 256),
        ("10-view", 256, 256, 256),
        ("30-view", None, 224, 224),
        ("30-view", 224, 224, 224),
        ("30-view", 256, 256, 256),
        ("10x3-full", 160, 160, 160),
    ],
)
def test_a_crop_means_the_same_for_every_value(protocol, crop, short, seen):
    description = Description.of(slow.a3d(), Split([], ("a", "b")))
    full = budgets.FullNetwork(Run(pathlib.Path("checkpoint"), description), {}, {})
    calibration, view = full.views(crop, chosen(protocol))
    shown = chosen(protocol).view(view)
    assert (shown.resize, shown.crop) == (short, seen)
    # Calibration is the training's view, whatever the protocol.
    assert (calibration.resize, calibration.crop) == (256, seen)
    assert calibration.short_sides == (256, 320)


def test_a3d_is_tested_as_its_baseline():
    """Table 1's rows: the same pooling and view, at 256 pixels and 30 views."""
    baseline, adaptive = slow.kinetics(), slow.a3d()
    assert baseline.model == adaptive.model
    assert baseline.model.head_size == 224
    full = dict(Description.of(adaptive, Split([], ("a", "b"))).model)
    assert SubNetwork(1.0, 256, 8).of(full)["head_size"] == 224


def test_statistics_are_those_of_the_batch():
    model = {"backbone": "resnet_tiny", "num_classes": 4, "num_frames": 4}
    one = SubNetwork(0.5, 16, 2)
    _, params, stats = split(random_network(lambda: create(**model)))
    clips = random_clips(3, 4, 32, 32, 3)
    found = jax.jit(batch_statistics(one.of(model)))(params, stats, clips)
    # The first norm's input, by hand: every second frame, a half of the first kernels.
    thin = nnx.eval_shape(lambda: create(**one.of(model)))
    skeleton, like, stats_like = split(train_view(thin))
    network = skeleton.merge(narrow(params, like), narrow(stats, stats_like))
    low = network.resolution.lower(clips)
    assert low.shape == (3, 2, 16, 16, 3)
    y = jax.lax.conv_general_dilated(
        low.reshape(-1, 16, 16, 3),
        params["stem.conv.kernel"][..., :8],
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ).reshape(-1, 8)
    np.testing.assert_allclose(found["stem.norm.mean"], y.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["stem.norm.var"], y.var(0, ddof=1), rtol=1e-4)
    assert named_arrays(network, nnx.BatchStat).keys() == found.keys()


RUN = {
    "data__num_frames": 4,
    "adaptive__mode": "mutual",
    "adaptive__widths": "(0.5,1.0)",
    "adaptive__width_draw": "uniform",
    "adaptive__sides": "(16,)",
    "adaptive__frames": "(2,4)",
    "adaptive__calibration_batches": 2,
    "checkpoint__every_steps": 6,
    "checkpoint__keep_last": 9,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a3d")
    return folder, commands.train(folder / "run", folder / "data", **RUN)


@pytest.mark.slow
def test_a_run_names_its_sub_networks(run):
    _, lines = run
    steps = [line for line in lines if line["kind"] == "train"]
    assert len(steps) == 12
    drawn = [map(SubNetwork.parse, line["subnetworks"]) for line in steps]
    for narrowest, other in drawn:
        assert narrowest in {(0.5, 16, 2), (0.5, 16, 4)}
        assert 0.5 <= other.width <= 1 and other[1:] in {(16, 2), (16, 4)}
    assert len({line["subnetworks"][1] for line in steps}) == 12
    assert all(line["distillation"] > 0 for line in steps)


@pytest.mark.slow
def test_a_run_goes_on_exactly(run, tmp_path):
    folder, whole = run
    shutil.copytree(folder / "run", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "12")
    cut = commands.train(tmp_path / "cut", folder / "data", **RUN)
    assert len(commands.of_kind(cut, "train")) == 12
    for kind in ("train", "end"):
        assert commands.of_kind(cut, kind) == commands.of_kind(whole, kind)


@pytest.mark.slow
def test_the_command(run, capsys):
    folder, _ = run
    workdir = f"--run={folder / 'run'}"
    assert cli.run(["budgets", workdir, "--batch-size=8"]) == 0
    printed = capsys.readouterr().out
    made = table.read(folder / "run" / "budgets")
    assert {str(found.subnetwork) for found in made.rows} == {
        "16x2,0.5",
        "16x4,0.5",
        "16x2,1",
        "16x4,1",
    }
    assert (folder / "run" / "budgets" / "budgets.png").stat().st_size > 10_000
    assert "the best for each budget" in printed
    cheapest = min(made.rows, key=lambda found: found.gflops)
    budget = f"--gflops={cheapest.gflops}"
    assert cli.run(["budgets", workdir, budget, f"--save={folder / 'small'}"]) == 0
    assert json.loads(capsys.readouterr().out)["subnetwork"] == "16x2,0.5"

    # One loaded model at two budgets; the saved network is the same as it.
    adaptive = vidshift.load_adaptive(folder / "run")
    clips = random_clips(2, 4, 16, 16, 3)
    small, full = adaptive.at(gflops=cheapest.gflops), adaptive.at("16x4,1")
    saved = vidshift.load(folder / "small")
    np.testing.assert_allclose(small(clips), saved(clips), rtol=1e-4, atol=1e-5)
    assert np.abs(full(clips) - small(clips)).max() > 1e-3
    assert adaptive.at("16x4,1") is full

    # Another protocol's rows lie beside the first's, and a budget must say which.
    again = ["--protocol=2x1", "--frames=4", "--no-latency", "--batch-size=8"]
    assert cli.run(["budgets", workdir, *again]) == 0
    printed = capsys.readouterr().out
    assert "2x1 (logits) on validation, calibrated over 2 batches of 8:" in printed
    assert len(table.read(folder / "run" / "budgets").rows) == 6
    assert cli.run(["budgets", workdir, "--gflops=1"]) == 2
    assert "rows of different tests" in capsys.readouterr().err
    assert cli.run(["budgets", workdir, "--gflops=1", "--protocol=2x1"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "2x1"
    with pytest.raises(ValueError, match="rows of different tests"):
        vidshift.load_adaptive(folder / "run")
    two = vidshift.load_adaptive(folder / "run", protocol="2x1")
    assert len(two.table.rows) == 2

    for wrong, message in (
        (["--sides=32"], "side 32 is beyond the crop of 16"),
        (["--protocol=3"], "protocol '3' does not exist"),
        (["--gflops=1", "--protocol=10x3"], "no row of protocol=10x3; it has 2x1"),
        (["--save=x"], "--save needs"),
        (["--gflops=1e-9", "--protocol=1x1"], "no sub-network is within"),
        (["--gflops=0"], "--gflops must be above 0"),
        (["--calibration-batches=-1"], "--calibration-batches must be 0 or more"),
    ):
        assert cli.run(["budgets", workdir, *wrong]) == 2
        assert message in capsys.readouterr().err
    assert cli.run(["budgets", f"--run={folder / 'small'}"]) == 2
    assert "is a sub-network itself" in capsys.readouterr().err


@pytest.mark.slow
def test_lower_resolution():
    model = random_network(
        lambda: create(
            "slow_tiny", num_classes=3, num_frames=8, side=16, frames=3, width=0.5
        )
    )
    clips = random_clips(1, 8, 32, 32, 3)
    low = model.resolution.lower(clips)
    assert low.shape == (1, 3, 16, 16, 3)
    # Corner to corner: the first and last pixels of frames 0, 2 and 5.
    np.testing.assert_allclose(low[0, :, 0, 0], clips[0, [0, 2, 5], 0, 0], rtol=1e-5)
    np.testing.assert_allclose(
        low[0, :, -1, -1], clips[0, [0, 2, 5], -1, -1], rtol=1e-5
    )
    ramp = jnp.broadcast_to(jnp.arange(32.0).reshape(1, 1, 1, 32, 1), (1, 8, 32, 32, 1))
    found = model.resolution.lower(ramp)[0, 0, 0, :, 0]
    np.testing.assert_allclose(found, np.linspace(0, 31, 16), rtol=1e-5)
    assert jax.jit(model)(clips).shape == (1, 3)
    for shape, message in (
        ((1, 2, 32, 32, 3), "frames=3"),
        ((1, 8, 8, 8, 3), "side=16"),
    ):
        with pytest.raises(ValueError, match=message):
            model(jnp.zeros(shape))


@pytest.mark.parametrize(
    ("task", "several"),
    [(MULTI_LABEL, "labels"), (MultiTask({"verb": 2, "noun": 3}), "tasks")],
)
def test_what_has_no_single_top1_is_refused(task, several):
    description = Description.of(Config(), Split([], ("a", "b"), task=task))
    run = Run(pathlib.Path("checkpoint"), description)
    with pytest.raises(ValueError, match=f"several {several}"):
        budgets.tabulate(budgets.FullNetwork(run, {}, {}), None)
