"""A clip's frames as records of their own: only the wanted ones are read."""

import pickle

import numpy as np
import pytest

from tests.support.numbered_videos import encoded, numbers
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.media import video
from vidshift.data.media.video import VideoError
from vidshift.data.preparation import build
from vidshift.data.records import frame_rows, storage, tfds_rows
from vidshift.data.sources.prepared import Prepared, open_split

LENGTHS = (24, 1, 30)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    found = []
    for number, length in enumerate(LENGTHS):
        path = folder / f"{number}.mp4"
        path.write_bytes(encoded("libx264", "mp4", length))
        splits = ("train",) if number else ("train", "test")
        found.append(Clip(f"clip {number}", path, splits, number % 2))
    return tuple(found)


@pytest.fixture(scope="module")
def split(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    annotations = Annotations(clips, classes=("a", "b"))
    assert build.prepare(annotations, "folder", out=out, stored_as="frames") == 0
    return open_split("folder", "train", data_dir=str(out), options=Prepared("frames"))


def test_frames_are_those_of_the_clip(split, clips):
    assert len(split.source) == 3
    by_id = {clip.id: clip for clip in clips}
    for row, length in enumerate(LENGTHS):
        record = split.source[row]
        assert record["num_frames"] == length and record["label"] == row % 2
        indices = [length - 1, 0, length // 2, 0]
        found = split.decode(record["video"], indices, name=record["id"])
        assert numbers(found) == indices
        whole = storage.store(by_id[record["id"]], "frames").video
        np.testing.assert_array_equal(found, video.decode(whole, indices))


def test_what_is_not_wanted_is_not_read(split, monkeypatch):
    record, read = split.source[2], []
    own = tfds_rows.TfdsRows.__getitem__

    def counted(self, row):
        read.append(row)
        return own(self, row)

    monkeypatch.setattr(tfds_rows.TfdsRows, "__getitem__", counted)
    split.decode(record["video"], [3, 29, 3])
    first = record["video"].first
    assert read == [first + 3, first + 29]


def test_a_worker_process_opens_it_anew(split):
    record = pickle.loads(pickle.dumps(split)).source[0]
    assert numbers(split.decode(record["video"], [7])) == [7]


def test_frames_that_are_not_there(split):
    record = split.source[0]
    with pytest.raises(VideoError, match=r"^x: frame 24 is not there .* 24\)"):
        split.decode(record["video"], [0, 24], name="x")
    with pytest.raises(ValueError, match="indices"):
        split.decode(record["video"], [-1])
    with pytest.raises(ValueError, match="indices"):
        split.decode(record["video"], [])


class Rows:
    def __getitem__(self, row):
        if row == 1:
            raise VideoError("shard record 1: cannot be read")
        return {"video": b"no picture"}


def test_a_damaged_frame_names_the_clip():
    clip = frame_rows.FrameRows(Rows(), 0, 3)
    with pytest.raises(VideoError, match="^x: shard record 1: cannot be read"):
        frame_rows.decode(clip, [1], name="x")
    with pytest.raises(VideoError, match="^x: "):
        frame_rows.decode(clip, [0], name="x")
