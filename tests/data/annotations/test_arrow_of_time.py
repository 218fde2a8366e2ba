"""Places and splits of `arrow_of_time`, from the files alone."""

import collections
import shutil

import numpy as np
import pytest

from tests.support import moving_square
from vidshift.data.annotations import AnnotationError
from vidshift.data.annotations.arrow_of_time import (
    DATASET,
    SPLITS,
    read,
    split_times,
)
from vidshift.data.media.frame_index import index_of
from vidshift.data.records import windows

# Its windows span a second at four times the speed.
SMALL = {"frames": 4, "rate": 12.0, "side": 32}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    moving_square.write(folder / "a" / "clip.mp4", 30.0)
    moving_square.write(folder / "b" / "clip.mp4", 27.0, seed=1)
    moving_square.write(folder / "short.mp4", 6.0, seed=2)
    shutil.copy(folder / "short.mp4", folder / "again.mp4")
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def found(source):
    return read(source, **SMALL)


def numbers(clip) -> list[int]:
    index = index_of(clip.path)
    return windows._nearest(index, clip, clip.playback, clip.playback.speed).tolist()


def test_each_place_gives_each_class_once(found):
    places = collections.defaultdict(list)
    for clip in found.clips:
        places[clip.path, clip.start, clip.splits].append(clip)
    for clips in places.values():
        labels = [clip.label[:2] for clip in clips]
        assert labels == [(speed, way) for speed in range(3) for way in range(2)]
        assert len({clip.label[2] for clip in clips}) == 1
    assert len({clip.id for clip in found.clips}) == len(found.clips)
    assert {clip.splits[0] for clip in found.clips} == set(SPLITS)
    assert found.task.tasks == {"speed": 3, "direction": 2, "place": 9}
    assert len(set(found.classes)) == len(found.classes) == 14


def test_splits_are_a_second_apart(found):
    """Of the frames themselves, each with the time at which it is shown."""
    times = collections.defaultdict(set)
    for clip in found.clips:
        shown = index_of(clip.path).times[numbers(clip)]
        times[clip.path, clip.splits[0]].update(shown.tolist())
    paths = {path for path, split in times if split == "test"}
    assert len(paths) == 2
    for path in paths:
        for one, other in (SPLITS[:2], SPLITS[1:], SPLITS[::2]):
            first, second = (np.array(sorted(times[path, it])) for it in (one, other))
            assert np.abs(first[:, None] - second).min() >= 1.0


def test_a_place_knows_its_third(found):
    for clip in found.clips:
        name = found.classes[5 + clip.label[2]]
        seconds = index_of(clip.path).times[-1]
        middle = (clip.start + clip.end) / 2
        video = clip.path.parent.name + "/clip.mp4"
        if "clip" in name:
            assert name == f"{video}, third {1 + int(3 * middle / seconds)}"


def test_what_is_said_of_files(found, source):
    said = "\n".join(found.warnings)
    assert "short.mp4 is the same file as again.mp4 and counts once" in said
    assert "again.mp4: is for training alone, as its 6.0 s are too short" in said
    assert "passed over, which are no videos by their suffix: 1" in said
    names = {clip.path.relative_to(source).as_posix() for clip in found.clips}
    assert names == {"a/clip.mp4", "b/clip.mp4", "again.mp4"}
    short = [clip for clip in found.clips if clip.path.name == "again.mp4"]
    assert {clip.splits for clip in short} == {("train",)}


def test_shares_of_a_long_video():
    parts = split_times(300.0, 2.0)
    assert [part.split for part in parts] == list(SPLITS) * 3
    total = {
        split: sum(part.end - part.begin for part in parts if part.split == split)
        for split in SPLITS
    }
    np.testing.assert_allclose(list(total.values()), np.array([0.6, 0.2, 0.2]) * 290.1)
    assert len(split_times(39.0, 2.0)) == 1 and len(split_times(40.0, 2.0)) == 9


def test_no_step_tells_the_direction(tmp_path):
    """At 25 frames a second some steps are a frame longer: anywhere in a window."""
    moving_square.write(tmp_path / "clip.mp4", 120.0, fps=25.0, side=16)
    clips = [c for c in read(tmp_path, stride=0.2).clips if c.label[:2] == (0, 0)]
    steps = np.array([np.diff(numbers(clip)) for clip in clips])
    assert set(np.unique(steps)) == {2, 3}
    # 1 of 12 steps is longer; three standard errors of its share at each place.
    longer = (steps == 3).mean(0)
    limit = 3 * np.sqrt(1 / 12 * 11 / 12 / len(steps))
    assert np.abs(longer - 1 / 12).max() < limit, longer


def test_a_start_is_of_the_content_not_of_the_name(source, tmp_path):
    shutil.copy(source / "a" / "clip.mp4", tmp_path / "other.mp4")
    starts = [clip.start for clip in read(tmp_path, **SMALL).clips]
    there = read(source, **SMALL).clips
    assert starts == [c.start for c in there if c.path.parent.name == "a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 1}, "frames must be >= 2, got 1"),
        ({"rate": 0.0}, "rate must be a number > 0, got 0.0"),
        ({"stride": -1.0}, "stride must be a number > 0, got -1.0"),
        ({"side": 33}, "side must be even and >= 16 pixels, got 33"),
    ],
)
def test_options_out_of_range(options, said, source):
    with pytest.raises(ValueError, match=said):
        read(source, **options)


def test_videos_that_give_no_window(tmp_path):
    with pytest.raises(AnnotationError, match="has no video to cut a window from$"):
        read(tmp_path)
    moving_square.write(tmp_path / "clip.mp4", 2.0, side=16)
    with pytest.raises(AnnotationError, match=r"2.00 s are too short for a window of"):
        read(tmp_path)
    with pytest.raises(AnnotationError, match=r"12 frames a second, fewer than .* 24 "):
        read(tmp_path, rate=24.0)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(AnnotationError, match=r"left out: clip.mp4: "):
        read(tmp_path)
    with pytest.raises(AnnotationError, match="there is no such folder"):
        DATASET.read(tmp_path / "nowhere")
