"""The bench of the loader on a video of a few small frames."""

import importlib.util
import json

import numpy as np
import pytest

from benchmarks.loading import __main__ as bench
from benchmarks.loading import loaders
from benchmarks.loading.loaders import Contender
from tests.support.numbered_videos import encoded, numbers
from vidshift.data.media import video

QUICK = ["--rounds=1", "--seconds=0.01", "--copies=6", "--batch-size=2", "--crop=32"]
QUICK += ["--resize=48", "--num-frames=2"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a video.mp4"
    path.write_bytes(encoded("libx264", "mp4", 24, g="12", bf="2"))
    return path


def run(capsys, *arguments) -> str:
    assert bench.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
def test_rows(path, capsys):
    few = ["--storages", "copy", "--workers", 0, 1]
    lines = run(capsys, path, "--json", *few, *QUICK).splitlines()
    about, *rows, last = map(json.loads, lines)
    assert about["video"] == "a video.mp4" and about["cores"] >= 1
    assert last == {"missing": "TFDS PNG: TensorFlow is not installed"}
    stored, *rows = rows
    assert (stored["storage"], stored["bytes"]) == ("copy", path.stat().st_size)
    assert {row["storage"] for row in rows} == {"copy"}
    columns = [(row["decoder"], row["loads"], row["workers"]) for row in rows]
    assert columns == [
        ("selective", "bare", 1),
        ("selective", "thread", 0),
        ("selective", "thread", 1),
        ("selective", "process", 1),
        ("in order", "bare", 1),
        ("in order", "thread", 1),
    ]
    for row in rows:
        assert row["clips_per_second"] > 0
        assert ("ratio" in row) == (row["loads"] != "bare")
        assert ("cpu_ms" in row) == (row["loads"] == "bare")


def test_table(path, capsys):
    few = ["--storages", "frames", "--kinds", "thread", "--workers", 0, "--no-png"]
    out = run(capsys, path, *few, *QUICK)
    assert "| frames | selective | bare | 1 | " in out
    assert "| frames | selective | thread | 0 | " in out
    # The frames of this storage have no order.
    assert "in order" not in out
    assert "TensorFlow" not in out


def test_decoding_in_order_gives_the_same_frames(path):
    indices = [20, 3, 3, 7]
    found = loaders.in_order(path, indices)
    assert numbers(found) == indices
    np.testing.assert_array_equal(found, video.decode(path, indices))


def test_ratios_are_of_rates_in_the_same_round():
    """A machine that is ten times slower in one round changes no ratio."""
    row = {"storage": "fast", "decoder": "selective", "workers": 2}
    two = [Contender(row | {"loads": it}, lambda seconds: 0) for it in ("bare", "x")]
    turns = [[(10, 0.5), (1, 0.7), (10, 0.6)], [(9, None), (0.9, None), (9, None)]]
    bare, loader = loaders.rows(two, turns, cores=2)
    assert bare == row | {"loads": "bare", "clips_per_second": 10, "cpu_ms": 600}
    assert loader["ratio"] == pytest.approx(0.9) and loader["clips_per_second"] == 9


def test_all_take_turns():
    said = []
    names = "abc"
    contenders = [
        Contender(
            {}, lambda seconds, name=name: (said.append((name, seconds)) or 1.0, None)
        )
        for name in names
    ]
    loaders.compete(contenders, rounds=3, seconds=2.0)
    rounds = [said[i : i + 3] for i in (0, 3, 6)]
    assert all(sorted(turn) == [(name, 2.0) for name in names] for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 1


def test_tfds_own_video_feature(path, capsys):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    few = ["--storages", "fast", "--kinds", "thread", "--workers", 0, "--json"]
    few += ["--decoders", "selective"]
    lines = run(capsys, path, *few, *QUICK).splitlines()
    rows = [json.loads(line) for line in lines[-2:]]
    assert [row["decoder"] for row in rows] == ["all frames", "sampled frames"]
    assert all(row["storage"] == "TFDS PNG" for row in rows)
