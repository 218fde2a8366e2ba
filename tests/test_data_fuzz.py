"""Damaged files, very many of them: each is stored or named, and nothing crashes or hangs."""

import csv
import functools
import pathlib
import random

import numpy as np
import pytest

from tests.numbered_videos import encoded
from vidshift.data import prepare, storage
from vidshift.data.annotations.clip import Clip
from vidshift.data.datasets import open_split
from vidshift.data.prepared import Prepared
from vidshift.data.workers import Failed, results

KINDS = {
    "mp4": ("libx264", "mp4", {"bf": "2", "g": "6"}),
    "mkv": ("libx264", "matroska", {"bf": "0", "g": "4"}),
    "avi": ("mpeg4", "avi", {}),
    "webm": ("libvpx", "webm", {}),
}
FRAMES = 10
# Clips whose decoder hangs would take longer.
MOST_SECONDS = 60.0


@functools.cache
def whole(kind: str) -> bytes:
    codec, container, options = KINDS[kind]
    return encoded(codec, container, FRAMES, **options)


def cut(kind: str, every: int) -> dict[str, bytes]:
    data = whole(kind)
    return {f"cut {end}": data[:end] for end in range(0, len(data), every)}


def flipped(kind: str, number: int) -> dict[str, bytes]:
    rng, files = random.Random(kind), {}
    for index in range(number):
        data = bytearray(whole(kind))
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        files[f"flip {index}"] = bytes(data)
    return files


def tried(item: tuple[str, bytes, str], folder: str, kind: str) -> int:
    name, data, stored_as = item
    path = pathlib.Path(folder) / f"{name} {stored_as}.{kind}"
    path.write_bytes(data)
    try:
        clip = Clip(id=name, path=path, splits=("train",), label=0)
        return storage.store(clip, stored_as).num_frames
    finally:
        path.unlink()


def check(files: dict[str, bytes], kind: str, folder: pathlib.Path) -> dict[str, int]:
    """-> how many files were stored, and how many were named."""
    found = {"stored": 0, "named": 0}
    work = functools.partial(tried, folder=str(folder), kind=kind)
    items = [
        (name, data, stored_as)
        for name, data in files.items()
        for stored_as in ("fast", "copy")
    ]
    done = results(work, items, workers=2, most_seconds=MOST_SECONDS)
    for (name, _, _), result in done:
        if isinstance(result, Failed):
            assert result.startswith(f"{name}: "), result  # no crash, no hang
            found["named"] += 1
        else:
            assert 1 <= result <= 2 * FRAMES
            found["stored"] += 1
    assert sum(found.values()) == len(items)
    return found


@pytest.mark.parametrize("kind", ["mp4", pytest.param("avi", marks=pytest.mark.slow)])
def test_some_cuts_and_flips(kind, tmp_path):
    found = check(cut(kind, 97) | flipped(kind, 20), kind, tmp_path)
    assert found["named"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_cut(kind, tmp_path):
    """A file that is cut anywhere before its last frame is not taken for a whole one."""
    data = whole(kind)
    found = check(cut(kind, 1), kind, tmp_path)
    assert found["named"] > len(data)  # of two for each


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_flips(kind, tmp_path):
    found = check(flipped(kind, 150), kind, tmp_path)
    assert found["named"]


@pytest.mark.slow
def test_none_is_lost_in_a_preparation(tmp_path, capsys):
    for label, kind in (("first", "mp4"), ("second", "avi")):
        (tmp_path / "own" / "train" / label).mkdir(parents=True)
        files = cut(kind, 61) | flipped(kind, 60) | {"whole": whole(kind)}
        for name, data in files.items():
            path = tmp_path / "own" / "train" / label / f"{name}.{kind}"
            path.write_bytes(data)
    listed = {
        str(path.relative_to(tmp_path / "own"))
        for path in (tmp_path / "own").rglob("*.*")
    }
    flags = [f"--source={tmp_path / 'own'}", f"--out={tmp_path}", "--storage=copy"]
    assert prepare.main(["folder", *flags]) == 0
    folder = tmp_path / "folder" / "copy" / "1.0.0"
    with (folder / prepare.LEFT_OUT).open(encoding="utf-8") as file:
        left_out = {row["id"] for row in csv.DictReader(file)}
    split = open_split(
        "folder", "train", data_dir=str(tmp_path), options=Prepared("copy")
    )
    records = [split.source[row] for row in range(len(split.source))]
    kept = {record["id"] for record in records}
    assert kept | left_out == listed and not kept & left_out
    assert {"train/first/whole.mp4", "train/second/whole.avi"} <= kept
    assert len(left_out) > 50
    # What a preparation takes, training can decode.
    for record in records:
        middle = [0, record["num_frames"] // 2, record["num_frames"] - 1]
        assert split.decode(record["video"], middle).dtype == np.uint8
