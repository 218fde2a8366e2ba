"""Frames of windows, read from real files and stored."""

import dataclasses
import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.support import numbered_videos
from vidshift.data.annotations.clip import Clip, Playback
from vidshift.data.media import video
from vidshift.data.media.video import VideoError
from vidshift.data.records import window_faults, windows
from vidshift.data.records.storage import KEYFRAMES, count, store

PLAYBACK = Playback(frames=4, rate=5.0, side=48, speeds=(1, 2))
FORMATS = [("libx264", "mp4"), ("libx264", "matroska"), ("mjpeg", "avi")]


@pytest.fixture(autouse=True)
def no_faults(monkeypatch):
    """Numbered pictures change at once from one to the next."""
    monkeypatch.setattr(window_faults, "fault", lambda part, windows: None)


def clip(path, start, **playback) -> Clip:
    played = dataclasses.replace(PLAYBACK, **playback)
    return Clip("it", path, ("train",), 0, start, start + 1.2, playback=played)


def write(path, codec="libx264", container="mp4", frames=100, **options):
    path.write_bytes(numbered_videos.encoded(codec, container, frames, **options))
    return path


@pytest.mark.parametrize(("codec", "container"), FORMATS)
def test_frames_nearest_to_the_times(tmp_path, codec, container):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write(tmp_path / "clip", codec, container, pixels=pixels)
    # Forwards, back again, and far ahead: whatever the reader has kept.
    for start, first in ((0.4, 10), (0.0, 0), (2.59, 65), (0.41, 10)):
        frames = windows.read(clip(path, start)).frames
        assert numbered_videos.numbers(frames) == [first + 5 * n for n in range(4)]
        frames = windows.read(clip(path, start, speed=2)).frames
        assert numbered_videos.numbers(frames) == [first + 10 * n for n in range(4)]


def test_a_part_within_the_last_one(tmp_path):
    path = write(tmp_path / "clip")
    windows.read(clip(path, 0.0))
    (first, _) = windows.read(clip(path, 0.4, frames=2)).frames
    assert numbered_videos.number(first) == 10


def test_a_part_far_ahead_is_sought(tmp_path):
    path = write(tmp_path / "clip", frames=400, g="25")
    assert numbered_videos.number(windows.read(clip(path, 0.0)).frames[0]) == 0
    (first, *_) = windows.read(clip(path, 14.0)).frames
    assert numbered_videos.number(first) == 350 % numbered_videos.NUMBERS


def test_times_are_those_of_the_file(tmp_path):
    """Frames that come ever slower."""
    times = (np.arange(40) ** 1.3 * 25).astype(int).tolist()
    path = write(tmp_path / "clip", "libx264", "matroska", 40, times=times)
    shown = numbered_videos.numbers(windows.read(clip(path, 0.8)).frames)
    wanted = 0.8 + np.arange(4) / 5
    nearest = np.abs(np.array(times) / 1000 - wanted[:, None]).argmin(1)
    assert shown == nearest.tolist()


def test_backwards_is_the_same_bit_for_bit(tmp_path):
    path = write(tmp_path / "clip")
    forward, backward = (
        store(clip(path, 1.0, is_reversed=is_reversed), KEYFRAMES)
        for is_reversed in (False, True)
    )
    assert forward[1:] == backward[1:] == (4, 5.0)
    frames = video.decode(forward.video, range(4))
    assert numbered_videos.numbers(frames) == [25, 30, 35, 40]
    np.testing.assert_array_equal(frames[::-1], video.decode(backward.video, range(4)))
    assert count(clip(path, 1.0)) == 4
    with av.open(io.BytesIO(forward.video)) as container:
        assert all(p.is_keyframe for p in container.demux(video=0) if p.size)


def test_sides_and_pixel_aspect(tmp_path):
    path = write(tmp_path / "clip", aspect=Fraction(4, 3))
    window = windows.read(clip(path, 1.0, side=32))
    assert window.frames.shape == (4, 32, 42, 3)
    assert window.pixel_aspect == Fraction(4, 3)
    assert windows.read(clip(path, 1.0, side=96)).frames.shape == (4, 48, 64, 3)


def test_too_few_frames(tmp_path):
    holed = [40 * n + (3000 if n > 30 else 0) for n in range(100)]
    path = write(tmp_path / "holed", "libx264", "matroska", 100, times=holed)
    with pytest.raises(VideoError, match="^it: gap: no frame near"):
        windows.read(clip(path, 1.0))
    # Two times a fifth of a second apart, with a frame in their middle alone.
    path = write(tmp_path / "slow", fps=4.5)
    with pytest.raises(
        VideoError, match="^it: gap: two of the window's times have one"
    ):
        windows.read(clip(path, 2 / 4.5 - 0.1))


def test_after_an_error_the_same_part_is_read(tmp_path, monkeypatch):
    path, frames = write(tmp_path / "clip"), video.frames

    def damaged(*arguments, **options):
        yield from itertools.islice(frames(*arguments, **options), 5)
        raise VideoError("damaged")

    with monkeypatch.context() as patch:
        patch.setattr(video, "frames", damaged)
        with pytest.raises(VideoError, match="^it: damaged$"):
            store(clip(path, 1.0), KEYFRAMES)
    (first, *_) = windows.read(clip(path, 1.0)).frames
    assert numbered_videos.number(first) == 25


def test_all_speeds_fail_alike(tmp_path, monkeypatch):
    monkeypatch.undo()
    path = write(tmp_path / "clip", fps=10.0)
    said = set()
    for speed in (1, 2):
        for is_reversed in (False, True):
            with pytest.raises(VideoError, match="^it: ") as error:
                windows.read(clip(path, 1.0, speed=speed, is_reversed=is_reversed))
            said.add(str(error.value))
    assert len(said) == 1
