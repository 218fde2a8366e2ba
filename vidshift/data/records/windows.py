"""Reads windows of a video: some frames of a part of it, forwards or backwards.

Windows that follow each other overlap, and six are of one part. A process therefore reads
a video forwards once and keeps the part that was asked for last.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from vidshift.data.annotations.clip import Clip, Playback
from vidshift.data.media import video
from vidshift.data.media.frame_index import FrameIndex, index_of
from vidshift.data.media.player import Player
from vidshift.data.media.video import VideoError
from vidshift.data.records import window_faults

# A part that begins so much later is sought, where the file allows that.
SEEK_SECONDS = 10.0


class Window(NamedTuple):
    frames: UInt8[np.ndarray, "T H W 3"]
    # Width of a pixel over its height.
    pixel_aspect: Fraction


def read(clip: Clip) -> Window:
    """Returns the frames of a clip with a `playback`, in the order they are played.

    Raises:
      VideoError: the file is damaged, the frames are too far apart for the clip's rate, or
        the part shows no order of time (`window_faults.fault`), at any of its speeds.
    """
    playback = clip.playback
    index = index_of(clip.path, clip.id)
    # At each of the speeds, so that all of a place's clips fail alike.
    numbers = np.stack(
        [_nearest(index, clip, playback, speed) for speed in playback.speeds]
    )
    first, last = int(numbers.min()), int(numbers.max())
    with _reading(clip) as reader:
        pictures = reader.part(first, last)
    if len({picture.rgb.shape for picture in pictures}) > 1:
        raise VideoError(f"{clip.id}: the frame size changes")
    part = np.stack([picture.cells for picture in pictures])
    if (fault := window_faults.fault(part, numbers - first)) is not None:
        raise VideoError(f"{clip.id}: {fault}")
    chosen = numbers[playback.speeds.index(playback.speed)] - first
    frames = np.stack([pictures[number].rgb for number in chosen])
    return Window(
        frames[::-1] if playback.is_reversed else frames, pictures[0].pixel_aspect
    )


def _nearest(
    index: FrameIndex, clip: Clip, playback: Playback, speed: int
) -> Int[np.ndarray, " T"]:
    """Returns the numbers of the frames nearest to a window's times."""
    times = index.times[: index.num_frames]
    wanted = clip.start + np.arange(playback.frames) * speed / playback.rate
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    is_before = wanted - times[after - 1] <= times[after] - wanted
    numbers = after - is_before
    if np.abs(times[numbers] - wanted).max() > 0.5 / playback.rate + 1e-6:
        raise VideoError(f"{clip.id}: gap: no frame near one of the window's times")
    if (np.diff(numbers) < 1).any():
        raise VideoError(f"{clip.id}: gap: two of the window's times have one frame")
    return numbers


class _Picture(NamedTuple):
    rgb: UInt8[np.ndarray, "H W 3"]
    cells: np.ndarray
    pixel_aspect: Fraction


class _Reader:
    """Reads a video forwards and keeps the last part; starts again for an earlier one."""

    def __init__(self, path: str, side: int):
        self._path, self._side = path, side
        self._index = index_of(path)
        self._times = self._index.times[: self._index.num_frames]
        self._frames: Iterator[_Picture] = iter(())
        # Number of the first picture that is kept, and the pictures.
        self._first, self._kept = 0, []
        self._is_open = False

    def part(self, first: int, last: int) -> list[_Picture]:
        """Returns the frames from one number to another, both included."""
        following = self._first + len(self._kept)
        ahead = self._times[first] - self._times[min(following, len(self._times) - 1)]
        seeks = ahead > SEEK_SECONDS and self._index.proof is not None
        if not self._is_open or first < self._first or seeks:
            self._open(first)
        while self._first + len(self._kept) <= last:
            picture = next(self._frames, None)
            if picture is None:
                raise VideoError(f"{self._path}: ends before frame {last}")
            self._kept.append(picture)
            if self._first < first:
                self._drop(first)
        self._drop(first)
        return self._kept[: last - first + 1]

    def _drop(self, first: int) -> None:
        """Forgets the pictures before a number."""
        number = min(max(0, first - self._first), len(self._kept))
        del self._kept[:number]
        self._first += number

    def _open(self, first: int) -> None:
        self._frames = self._pictures(first)
        self._first, self._kept, self._is_open = first, [], True

    def _pictures(self, first: int) -> Iterator[_Picture]:
        player = Player()
        for frame, _ in video.frames(self._path, start=float(self._times[first])):
            player.see(frame)
            rgb = player.show(frame, self._fitted(*player.size(frame)), "BICUBIC")
            rgb = np.ascontiguousarray(rgb)
            aspect = player.aspect(self._index.pixel_aspect)
            yield _Picture(rgb, window_faults.cells(rgb), aspect)

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        """Both sides even, the short one as it is stored; smaller pictures stay small."""
        scale = min(1.0, self._side / min(height, width))
        return tuple(max(2, round(side * scale / 2) * 2) for side in (height, width))


@contextlib.contextmanager
def _reading(clip: Clip) -> Iterator[_Reader]:
    """Gives the process's reader of the clip's video, or a new one after an error."""
    state = os.stat(clip.path)
    try:
        yield _reader(
            os.path.abspath(clip.path),
            clip.playback.side,
            state.st_size,
            state.st_mtime_ns,
        )
    except BaseException:
        _reader.cache_clear()
        raise


@functools.lru_cache(maxsize=1)
def _reader(path: str, side: int, *state: int) -> _Reader:
    return _Reader(path, side)
