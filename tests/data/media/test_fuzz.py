"""Damaged files: each is read or named, whatever is damaged, and no process dies of it.

The work is done as a preparation does it (`workers.results`), where a crash or a hang is a
`Failed` without a name.
"""

import csv
import os
import pathlib
import random
import signal
import tempfile

import numpy as np
import pytest

from tests.support.numbered_videos import encoded, numbers
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.media import video
from vidshift.data.media.video import VideoError
from vidshift.data.parallel.workers import Failed, results
from vidshift.data.preparation import build
from vidshift.data.records import storage
from vidshift.data.records.storage import STORAGES
from vidshift.data.sources.prepared import open_split

ID = "shelf/7"
FRAMES = 8
FILES = {
    "mp4": encoded("libx264", "mp4", FRAMES, g="4", bf="2"),
    "mkv": encoded("libx264", "matroska", FRAMES, g="4", bf="0"),
    "avi": encoded("mpeg4", "avi", FRAMES, g="4", bf="1"),
    "webm": encoded("libvpx-vp9", "webm", FRAMES, **{"g": "4", "cpu-used": "8"}),
}
MOST_SECONDS = 30.0


def tried(item) -> list[str]:
    """What is wrong with how a file is read, in another process.

    Args:
      item: suffix, bytes, storage, and whether the file is known to be cut short.
    """
    suffix, data, stored_as, is_cut = item
    path = pathlib.Path(tempfile.gettempdir()) / f"fuzz {os.getpid()}.{suffix}"
    path.write_bytes(data)
    part = {"start": 0.1, "end": 0.2} if stored_as == "cut" else {}
    clip = Clip(ID, path, ("train",), 0, **part)
    wrong = []

    def attempt(read):
        try:
            return read()
        except VideoError as error:
            text = str(error)
            if not text.startswith(f"{ID}: ") or text.count(ID) > 1 or "\n" in text:
                wrong.append(f"does not name the clip once: {text}")
        return None

    def decode():
        info = video.probe(data, name=ID)
        last = max(0, info.num_frames - 1)
        return video.decode(data, [0, last // 2, last], name=ID)

    try:
        attempt(decode)
        anew = "fast" if stored_as == "cut" else stored_as
        stored = attempt(lambda: storage.store(clip, anew))
        if stored is not None:
            # What is stored can be read, all of it.
            frames = video.decode(stored.video, range(stored.num_frames))
            if is_cut and not part and numbers(frames) != list(range(FRAMES)):
                wrong.append(f"stored {len(frames)} frames of {FRAMES}")
    except Exception as error:  # noqa: BLE001, all of them are the test's findings
        wrong.append(repr(error))
    finally:
        path.unlink()
    return wrong


def check(items) -> None:
    found = results(tried, items, workers=2, most_seconds=MOST_SECONDS)
    for number, ((suffix, data, *how), result) in enumerate(found):
        assert not isinstance(result, Failed) and not result, (
            f"{suffix} number {number}, {len(data)} bytes, {how}: {result}"
        )
    assert number  # There was something to try.


WAYS = [*STORAGES, "cut"]


def truncated(step: int, edge_step: int):
    """Files cut at every point of the first and last KB, and at some between."""
    for suffix, data in FILES.items():
        size = len(data)
        edges = [*range(min(1024, size)), *range(max(1024, size - 1024), size)]
        points = {*edges[::edge_step], *range(0, size, step)}
        for count, point in enumerate(sorted(points)):
            yield suffix, data[:point], WAYS[count % len(WAYS)], True


def flipped(number: int):
    """Files with some bits the other way, mostly in the head that describes the rest."""
    draw = random.Random(0)
    for suffix, data in FILES.items():
        for count in range(number):
            changed = bytearray(data)
            within = min(len(data), 1500) if count % 2 else len(data)
            for _ in range(draw.choice([1, 1, 2, 8])):
                changed[draw.randrange(within)] ^= 1 << draw.randrange(8)
            yield suffix, bytes(changed), WAYS[count % len(WAYS)], False


def overwritten(number: int):
    """Files with numbers that are extreme, missing pieces, and pieces of others."""
    draw = random.Random(1)
    extremes = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00"]
    others = list(FILES.values())
    for suffix, data in FILES.items():
        for count in range(number):
            at, changed = draw.randrange(len(data)), bytearray(data)
            match count % 3:
                case 0:
                    changed[at : at + 4] = draw.choice(extremes)
                case 1:
                    del changed[at : at + draw.choice([1, 2, 4, 100])]
                case 2:
                    other = draw.choice(others)
                    changed[at:] = other[draw.randrange(len(other)) :]
            yield suffix, bytes(changed), WAYS[count // 3 % len(WAYS)], False


def test_whole_files_are_read():
    for suffix, data in FILES.items():
        for way in WAYS:
            assert tried((suffix, data, way, True)) == []


def test_some_damaged_files():
    check([*truncated(step=700, edge_step=100), *flipped(12), *overwritten(9)])


@pytest.mark.slow
@pytest.mark.exhaustive(but=("some",))
@pytest.mark.parametrize("often", [1, 3], ids=["some", "many"])
def test_many_damaged_files(often):
    check(truncated(step=21 // often, edge_step=3 // often))
    check(flipped(100 * often))
    check(overwritten(50 * often))


def deadly(clip: Clip, storage: str, pictures_of: None):
    """`storage.store`, of clips that kill their process."""
    if "deadly" in clip.id:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain_store(clip, storage, pictures_of)


plain_store = storage.store


def test_a_clip_that_kills_its_process_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "store", deadly)
    path = tmp_path / "a.mp4"
    path.write_bytes(FILES["mp4"])
    names = [f"{'deadly' if n in (0, 3, 4, 9) else 'fine'} {n}" for n in range(10)]
    clips = tuple(Clip(name, path, ("train",), 0) for name in names)
    annotations = Annotations(clips, ("a class",))
    assert build.prepare(annotations, "folder", out=tmp_path / "out", workers=2) == 0
    split = open_split("folder", "train", data_dir=str(tmp_path / "out"))
    kept = [record["id"] for record in split.source]
    assert kept == [name for name in names if "fine" in name]
    table = tmp_path / "out" / "folder" / "fast" / "1.0.0" / "left_out.csv"
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["id"] for row in rows] == [name for name in names if "deadly" in name]
    assert all("crashed" in row["reason"] for row in rows)
    record = split.source[0]
    frames = split.decode(record["video"], np.arange(record["num_frames"]))
    assert numbers(frames) == list(range(FRAMES))
