"""Damaged ArrayRecord files: what is read is right, or a VideoError that names it."""

import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from vidshift.data.loading import loader
from vidshift.data.media.video import VideoError
from vidshift.data.sources import motion_clips
from vidshift.data.sources.datasets import open_split
from vidshift.data.views.view import View

RECORDS = 60
# Of a small file the first block, 64 KiB.
BLOCK = 2**16


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small data set of some 300 KB, and the records of its training split."""
    folder = tmp_path_factory.mktemp("data")
    split = opened(folder)
    return folder, [split.source[row] for row in range(RECORDS)]


def opened(folder):
    options = motion_clips.OrderedMotion(
        side=64, frames=8, train_clips=RECORDS, validation_clips=1, test_clips=1
    )
    return open_split("ordered_motion", "train", data_dir=str(folder), options=options)


@pytest.fixture
def copied(data, tmp_path):
    """The data set's folder, its training file and its records."""
    folder, records = data
    shutil.copytree(folder, tmp_path / "data")
    (path,) = (tmp_path / "data").rglob("*-train.array_record*")
    assert path.stat().st_size > 4 * BLOCK
    return tmp_path / "data", path, records


def change(path: pathlib.Path, kind: str) -> None:
    size = path.stat().st_size
    data = bytearray(path.read_bytes())
    match kind:
        case "gone":
            return path.unlink()
        case "a folder":
            path.unlink()
            return path.mkdir()
        case "empty":
            data = b""
        case "half":
            data = data[: size // 2]
        case "zeros":
            data = bytes(size)
        case "noise":
            data = np.random.default_rng(0).bytes(size)
        case "a hole":
            data[BLOCK : 2 * BLOCK] = bytes(BLOCK)
        case "a byte flipped":
            data[BLOCK + 3000] ^= 1
    # In place: who has it open sees it.
    path.write_bytes(data)


def read(split) -> list:
    """Each record, or the error of reading it."""
    found = []
    for row in range(len(split.source)):
        try:
            found.append(split.source[row])
        except VideoError as error:
            found.append(error)
    return found


ALL, SOME = range(RECORDS, RECORDS + 1), range(1, RECORDS)


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        ("gone", ALL),
        ("a folder", ALL),
        ("empty", ALL),
        ("half", ALL),
        ("zeros", ALL),
        ("noise", ALL),
        ("a hole", SOME),
        ("a byte flipped", range(1, 3)),
        # array_record gives no error, but nothing, of what lies behind a file's end.
        ("empty while open", ALL),
        ("half while open", SOME),
        ("a hole while open", SOME),
    ],
)
def test_a_damaged_file(copied, kind, lost):
    folder, path, records = copied
    split = opened(folder)
    damage = kind.removesuffix(" while open")
    if damage != kind:
        assert read(split) == records
    change(path, damage)
    found = read(split)
    errors = [row for row in range(RECORDS) if isinstance(found[row], VideoError)]
    assert len(errors) in lost
    for row, record in enumerate(records):
        if row in errors:
            assert f"{path.name} record {row}: " in str(found[row])
            assert "\n" not in str(found[row])
        else:
            assert found[row] == record


def test_a_file_whose_first_records_are_another_splits(copied):
    folder, path, _ = copied
    (other,) = folder.rglob("*-test.array_record*")
    shutil.copy(other, path)
    with pytest.raises(VideoError, match=f"{path.name} record 7: cannot be read"):
        opened(folder).source[7]


def test_rows_are_sent_to_another_process(data):
    folder, records = data
    split = opened(folder)
    assert split.source[3] == records[3]
    sent = pickle.dumps(split)
    assert len(sent) < 10_000
    assert pickle.loads(sent).source[3] == records[3]


VIEW = View(num_frames=4, resize=64, crop=56)


def test_the_loader_replaces_what_cannot_be_read(copied):
    folder, path, records = copied
    change(path, "a byte flipped")
    split = opened(folder)
    lost = {row for row, found in enumerate(read(split)) if not isinstance(found, dict)}
    options = {"batch_size": 20, "workers": 2}
    with loader.train_batches(
        split, VIEW, seed=0, max_failed_share=0.5, **options
    ) as batches:
        labels = [next(batches)["label"] for _ in range(3)]
        failures = batches.failures
    rows = [loader.plan.row(0, element, RECORDS) for element in range(RECORDS)]
    replaced = [row + 1 if row in lost else row for row in rows]
    expected = [records[row]["label"] for row in replaced]
    assert np.concatenate(labels).tolist() == expected
    assert [name for name, _ in failures] == [f"{path.name} record {min(lost)}"]
    with loader.eval_batches(split, VIEW, **options) as batches:
        index = np.concatenate([batch["index"] for batch in batches])
        assert [name for name, _ in batches.failures] == [
            f"{path.name} record {min(lost)}"
        ]
    assert index.tolist() == [-1 if row in lost else row for row in range(RECORDS)]


def test_a_file_that_is_gone_stops_the_run(copied):
    folder, path, _ = copied
    split = opened(folder)
    os.truncate(path, 0)
    with (
        loader.train_batches(
            split, VIEW, seed=0, batch_size=2, workers=1, worker_kind="process"
        ) as batches,
        pytest.raises(loader.TooManyFailures, match=f"in a row.*{path.name} record"),
    ):
        next(batches)
