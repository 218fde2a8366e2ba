"""`vidshift features`: files of features, what they hold, and how a folder goes on."""

import json
import pathlib

import jax
import numpy as np
import pytest

from tests.support.runs_for_streams import write_run, write_video
from vidshift import cli, run
from vidshift.data.media import container, flow, video
from vidshift.devices import mesh
from vidshift.features import extract, network, store
from vidshift.features.frames import cut
from vidshift.layers.folded import folded


@pytest.fixture(scope="module")
def tsm(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("tsm"))


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("causal"), causal=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of videos of 23, 12 and 3 frames."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "more").mkdir()
    write_video(folder / "a.mp4", 23)
    write_video(folder / "more" / "b.mp4", 12, fps=10.0)
    write_video(folder / "c.mp4", 3)
    (folder / "notes.txt").write_text("no video")
    return folder


def features(capsys, *arguments, code=0):
    """-> the JSON line, features.json, and the lines of stderr."""
    arguments = [str(argument) for argument in arguments]
    assert cli.run(["features", *arguments]) == code
    out, err = capsys.readouterr()
    out = json.loads(out) if out else None
    file = out and pathlib.Path(out["out"]) / "features.json"
    return out, file and json.loads(file.read_text()), err.splitlines()


def arrays(out) -> dict[str, bytes]:
    return {
        file.relative_to(out).as_posix(): file.read_bytes()
        for file in sorted(pathlib.Path(out).rglob("*.npy"))
    }


def by_hand(path, clips) -> np.ndarray:
    """The network's features of clips `[8, T, S, S, 3]`, uint8."""
    opened = run.Run.open(path)
    model = folded(opened.network())
    of = jax.jit(lambda m, x: m.features(opened.normalise(x)))
    rows = mesh.shard_batch(mesh.make_mesh(), {"clips": clips})
    return np.asarray(of(model, rows["clips"]))


def test_a_file_has_the_networks_features_of_each_window(tsm, videos, capsys, tmp_path):
    line, described, _ = features(
        capsys,
        tsm,
        "--source",
        videos,
        "--out",
        tmp_path,
        "--stride=2",
        "--batch-size=8",
    )
    found = {name: np.load(tmp_path / f"{name}.npy") for name in ("a", "more/b", "c")}
    assert {n: a.shape for n, a in found.items()} == {
        "a": (10, 64),
        "more/b": (5, 64),
        "c": (1, 64),
    }
    assert all(array.dtype == np.float32 for array in found.values())
    view = run.Run.open(tsm).view
    frames = video.decode(videos / "a.mp4", range(23))
    pixels = np.stack([cut(frame, view) for frame in frames])
    windows = np.stack([pixels[start : start + 4] for start in range(0, 16, 2)])
    assert np.array_equal(found["a"][:8], by_hand(tsm, windows))
    last = np.zeros_like(windows)
    last[:2] = [pixels[16:20], pixels[18:22]]
    assert np.array_equal(found["a"][8:], by_hand(tsm, last)[:2])
    short = np.zeros_like(windows)
    short[0] = np.stack(
        [cut(f, view) for f in video.decode(videos / "c.mp4", [0, 1, 2, 2])]
    )
    assert np.array_equal(found["c"], by_hand(tsm, short)[:1])

    assert line["videos"] == 3 and line["windows"] == 16 and line["failed"] == 0
    assert described["feature_shape"] == [64]
    settings = described["settings"]
    assert (settings["window"], settings["stride"], settings["fps"]) == (4, 2, None)
    assert settings["networks"][0]["network"] == "resnet_tiny/tsm"
    assert described["videos"] == {
        "a": {"frames": 23, "fps": 25.0, "centre_seconds": 2 / 25, "windows": 10},
        "c": {
            "frames": 3,
            "fps": 25.0,
            "centre_seconds": 2 / 25,
            "repeated_frames": 1,
            "windows": 1,
        },
        "more/b": {"frames": 12, "fps": 10.0, "centre_seconds": 0.2, "windows": 5},
    }


def test_every_frame_is_decoded_once(tsm, videos, monkeypatch):
    decoded, frames = container.decoded, []

    def counted(*args, **options):
        for frame in decoded(*args, **options):
            frames.append(frame.pts)
            yield frame

    monkeypatch.setattr(container, "decoded", counted)
    found = extract(tsm, videos / "a.mp4", window=8, stride=1, batch_size=8)
    assert len(found) == 16
    assert len(frames) == len(set(frames)) == 23


def test_a_folder_that_was_interrupted_goes_on_to_the_same_bytes(
    tsm, videos, capsys, tmp_path, monkeypatch
):
    flags = ("--source", videos, "--stride=2", "--batch-size=8")
    features(capsys, tsm, *flags, "--out", tmp_path / "whole")
    fetched = network._fetched
    batches = iter(range(100))

    def stops(features, number):
        if next(batches) == 1:  # within the first video
            raise KeyboardInterrupt
        return fetched(features, number)

    monkeypatch.setattr(network, "_fetched", stops)
    *_, err = features(capsys, tsm, *flags, "--out", tmp_path / "cut", code=130)
    assert err[-1] == "features: stopped; the same command goes on"
    assert arrays(tmp_path / "cut") == {}
    # As a kill would leave it.
    (tmp_path / "cut" / ".a.npy.partial").write_bytes(b"half of it")
    monkeypatch.setattr(network, "_fetched", fetched)
    features(capsys, tsm, *flags, "--out", tmp_path / "cut")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")
    assert not list((tmp_path / "cut").glob(".*partial"))

    # What is there is not made again; what was lost is.
    (tmp_path / "cut" / "c.npy").unlink()
    kept = (tmp_path / "cut" / "a.npy").stat().st_mtime_ns
    features(capsys, tsm, *flags, "--out", tmp_path / "cut")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")
    assert (tmp_path / "cut" / "a.npy").stat().st_mtime_ns == kept

    assert (
        cli.run(
            ["features", str(tsm), "--source", str(videos), "--stride=4"]
            + ["--out", str(tmp_path / "cut")]
        )
        == 2
    )
    assert (
        "has features with stride=2, and this asks for stride=4"
        in capsys.readouterr().err
    )


def test_what_cannot_be_decoded_is_left_out_and_listed(tsm, videos, capsys, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    whole = (videos / "a.mp4").read_bytes()
    (source / "good.mp4").write_bytes(whole)
    (source / "bad.mp4").write_bytes(whole[: len(whole) // 2])
    flags = ("--batch-size=8", "--out", out)
    line, described, err = features(capsys, tsm, "--source", source, *flags)
    assert (line["videos"], line["failed"]) == (1, 1)
    assert list(described["failures"]) == ["bad"]
    assert err[-1].startswith("left out: bad: ")
    assert list(arrays(out)) == ["good.npy"]
    # Once it is mended it is read.
    (source / "bad.mp4").write_bytes(whole)
    line, described, _ = features(capsys, tsm, "--source", source, *flags)
    assert (line["videos"], line["made_before"], line["failed"]) == (2, 1, 0)
    assert (out / "bad.npy").read_bytes() == (out / "good.npy").read_bytes()

    (source / "only").mkdir()
    (source / "only" / "bad.mp4").write_bytes(b"none")
    features(
        capsys,
        tsm,
        "--source",
        source / "only",
        "--out",
        tmp_path / "none",
        "--batch-size=8",
        code=1,
    )


def test_a_streams_features_are_those_of_the_whole_clip(
    causal, videos, capsys, tmp_path
):
    _, described, _ = features(
        capsys, causal, "--source", videos / "a.mp4", "--stream", "--stride=3",
        "--batch-size=8", "--out", tmp_path, "--format=npz",
    )  # fmt: skip
    with np.load(tmp_path / "a.npz") as file:
        found = file["feats"]
    opened = run.Run.open(causal)
    frames = video.decode(videos / "a.mp4", range(23))
    pixels = np.stack([cut(frame, opened.view) for frame in frames])
    clip = opened.normalise(pixels[None])
    of = jax.jit(lambda model, clip: model.features(clip, layer="frames"))
    whole = np.asarray(of(opened.network(), clip))
    assert whole.shape == (1, 23, 64) and found.shape == (8, 64)
    scale = np.abs(whole).max()
    np.testing.assert_allclose(found, whole[0, ::3], atol=1e-5 * scale)
    assert described["settings"]["stride"] == 3
    every = extract(causal, videos / "a.mp4", stream=True)
    assert np.array_equal(every[::3], found)


def test_python_gives_what_the_command_writes(tsm, videos, capsys, tmp_path):
    flags = ("--window=8", "--stride=4", "--fps=5", "--layer=spatial")
    features(capsys, tsm, "--source", videos / "a.mp4", "--out", tmp_path, *flags)
    options = {"window": 8, "stride": 4, "fps": 5.0, "layer": "spatial"}
    found = extract(tsm, (videos / "a.mp4").read_bytes(), **options)
    assert found.shape == (1, 4, 2, 2, 64)
    assert np.array_equal(found, np.load(tmp_path / "a.npy"))


def test_a_split_has_an_array_a_clip(run_dir, capsys, tmp_path, data_dir):
    flags = ("--data=ordered_motion", "--split=test", "--batch-size=8")
    line, described, _ = features(capsys, run_dir, *flags, "--out", tmp_path)
    opened = run.Run.open(run_dir)
    records = opened.split("test").source
    assert line["videos"] == len(records) == 30
    for row in (0, 29):
        record = records[row]
        said = described["videos"][record["id"]]
        assert (said["row"], said["label"]) == (row, record["label"])
        found = np.load(tmp_path / f"{record['id']}.npy")
        assert np.array_equal(found, extract(run_dir, record["video"], batch_size=8))
    again, _, _ = features(capsys, run_dir, *flags, "--out", tmp_path)
    assert again["made_before"] == 30


def test_errors_say_what_to_change(tsm, causal, videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(flow, "check_installed", lambda: None)
    out = ("--out", str(tmp_path / "out"))
    cases = {
        "give --source or --data": [tsm],
        "--source=nowhere is not there": [tsm, "--source=nowhere"],
        "a stream needs a network that reads no later frame": [
            tsm, "--source", videos, "--stream",
        ],
        "window=4 is not for a stream": [
            causal, "--source", videos, "--stream", "--window=4",
        ],
        "layer='frames' is not for a stream": [
            causal, "--source", videos, "--stream", "--layer=frames",
        ],
        "one takes flow and the other does not, got rgb and rgb": [
            tsm, "--source", videos, f"--flow={causal}",
        ],
        "--flow is for --source": [tsm, "--data=ucf101", f"--flow={causal}"],
        "batch-size=3 does not divide by 8 devices": [
            tsm, "--source", videos, "--batch-size=3",
        ],
    }  # fmt: skip
    for message, arguments in cases.items():
        assert cli.run(["features", *map(str, arguments), *out]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    write_video(tmp_path / "x.mp4", 3)
    write_video(tmp_path / "x.mkv", 3)
    assert cli.run(["features", str(tsm), "--source", str(tmp_path), *out]) == 2
    assert "would have one file of features" in capsys.readouterr().err


def test_a_damaged_description_is_said(tmp_path):
    (tmp_path / "features.json").write_text("{")
    with pytest.raises(ValueError, match="features.json is damaged"):
        store.Store(tmp_path, {}, format="npy")
    with pytest.raises(ValueError, match="cannot name a file"):
        store.Store(tmp_path / "new", {}, format="npy").file("../x")
