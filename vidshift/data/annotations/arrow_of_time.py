"""Windows of any videos, labelled by the direction and the speed they are played at.

    SOURCE/                         videos anywhere below it (media.VIDEOS); no labels

A *place* is a time in a video. Each gives six clips that begin there, of the same number
of frames: forward and backward, at 1, 2 and 4 times the speed. Backward clips have the
frames of forward ones in the other order, so classes are balanced in every split.

Splits are by time. A video is cut into thirds, and each third into train, validation and
test, with a gap of at least a second after each; no window crosses a border. A video too
short for that is for training alone. A file that is there twice counts once.

A place begins somewhere in its stride, drawn by the file's content. Where the rate of the
video is no multiple of the windows', some steps are a frame longer than others. Were the
begin regular, the place of those steps would tell forward from backward.
"""

import dataclasses
import hashlib
import itertools
import pathlib
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vidshift.class_names import listed
from vidshift.data.annotations import media, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip, Playback
from vidshift.data.annotations.dataset import VideoDataset
from vidshift.data.media.frame_index import FrameIndex, index_of
from vidshift.data.media.video import VideoError
from vidshift.tasks import MultiTask

SPLITS = ("train", "validation", "test")
DIRECTIONS = ("forward", "backward")
SPEEDS = (1, 2, 4)
SPEED_NAMES = tuple(f"{speed}x" for speed in SPEEDS)
# Of the time of a third without its gaps.
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
# Between windows of two splits: a second, and room for the frames nearest to their ends.
GAP_SECONDS = 1.1
THIRDS = 3


class _Part(NamedTuple):
    """A stretch of a video that is of one split, seconds from its first frame."""

    split: str
    # None: of a video that is not cut into thirds; each window's middle says its third.
    third: int | None
    begin: float
    end: float


def read(
    source: pathlib.Path,
    *,
    frames: int = 8,
    rate: float = 12.0,
    stride: float | None = None,
    side: int = 128,
) -> Annotations:
    """Lists the clips.

    Args:
      source: the folder.
      frames: of a window.
      rate: frames a second of a window at speed 1.
      stride: mean seconds between places; None: half a window at speed 1.
      side: short side of what is stored, pixels, even.

    Raises:
      AnnotationError: no video that is long enough for a window, or a link that leads
        back to a folder above it.
      ValueError: an option out of range.
    """
    stride = frames / rate / 2 if stride is None and rate else stride
    if frames < 2:
        raise ValueError(f"frames must be >= 2, got {frames}")
    for name, value in (("rate", rate), ("stride", stride)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be a number > 0, got {value}")
    if side < 16 or side % 2:
        raise ValueError(f"side must be even and >= 16 pixels, got {side}")
    reading.require(source)
    warnings: list[str] = []
    playback = Playback(frames, rate, side, SPEEDS)
    clips: list[Clip] = []
    videos: list[str] = []
    for name, path, digest in _distinct(source, warnings):
        try:
            index = index_of(path, name)
            places = list(_places(index, playback, stride, digest, name, warnings))
        except VideoError as error:
            warnings.append(f"left out: {error}")
            continue
        for split, third, start in places:
            place = len(videos) * THIRDS + third
            clips += _six(name, path, split, start, place, playback)
        videos.append(name)
    if not clips:
        why = f"; {warnings[0]}" if warnings else ""
        raise AnnotationError(f"{source}: has no video to cut a window from{why}")
    places = [f"{name}, third {n + 1}" for name in videos for n in range(THIRDS)]
    classes = (*SPEED_NAMES, *DIRECTIONS, *places)
    return Annotations(
        clips=tuple(clips),
        classes=classes,
        # A mirror image changes neither.
        flip_labels=tuple(range(len(classes))),
        task=MultiTask(
            {
                "speed": len(SPEEDS),
                "direction": len(DIRECTIONS),
                "place": len(places),
            }
        ),
        warnings=tuple(warnings),
    )


def _distinct(
    source: pathlib.Path, warnings: list[str]
) -> Iterator[tuple[str, pathlib.Path, str]]:
    """Yields name, path and SHA-256 of each video below a folder, each content once."""
    seen: dict[str, str] = {}
    passed: list[str] = []
    for path in _files(source):
        if not media.is_video(path.name):
            passed.append(str(path))
            continue
        name = unicodedata.normalize("NFC", path.relative_to(source).as_posix())
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            warnings.append(f"left out: {name}: cannot be read ({error.strerror})")
            continue
        if digest in seen:
            warnings.append(
                f"{name} is the same file as {seen[digest]} and counts once, as its "
                "windows would be in several splits"
            )
            continue
        seen[digest] = name
        yield name, path, digest
    if passed:
        warnings.append(
            f"files passed over, which are no videos by their suffix: {len(passed):,} "
            f"({listed(passed)})"
        )


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    media.check_loop(folder)
    for entry in media.entries(folder):
        if media.is_folder(entry):
            yield from _files(pathlib.Path(entry.path))
        else:
            yield pathlib.Path(entry.path)


def _places(
    index: FrameIndex,
    playback: Playback,
    stride: float,
    digest: str,
    name: str,
    warnings: list[str],
) -> Iterator[tuple[str, int, float]]:
    """Yields split, third and start of each place of a video."""
    if index.times is None or not index.num_frames:
        raise index.error or VideoError(f"{name}: does not say its frame rate")
    seconds = float(index.times[index.num_frames - 1])
    # One that is slower by a rounding repeats a frame now and then: those are left out.
    if index.fps < 0.99 * playback.rate:
        raise VideoError(
            f"{name}: has {index.fps:.4g} frames a second, fewer than the windows' "
            f"{playback.rate:g} (--rate)"
        )
    if seconds < playback.seconds:
        raise VideoError(
            f"{name}: its {seconds:.2f} s are too short for a window of "
            f"{playback.seconds:.2f} s"
        )
    parts = split_times(seconds, playback.seconds)
    if len(parts) == 1:
        warnings.append(
            f"{name}: is for training alone, as its {seconds:.1f} s are too short to be "
            f"split (from {_shortest(playback.seconds):.1f} s on)"
        )
    rng = np.random.default_rng(int(digest, 16))
    for split, third, begin, end in parts:
        room = end - playback.seconds - begin
        count = max(1, int(room / stride))
        for number in range(count):
            start = begin + room * (number + rng.random()) / count
            middle = start + playback.seconds / 2
            yield split, third if third is not None else _third(middle, seconds), start


def split_times(seconds: float, window: float) -> list[_Part]:
    """Cuts a video's time line into the parts of the splits.

    Args:
      seconds: from its first frame to its last.
      window: seconds that the longest window covers.

    Returns:
      nine parts, a train, a validation and a test one in each third; one of train alone
      where a part of a ninth is shorter than a window.
    """
    if seconds < _shortest(window):
        return [_Part("train", None, 0.0, seconds)]
    third = seconds / THIRDS
    shared = third - GAP_SECONDS * len(SHARES)
    parts = []
    for number in range(THIRDS):
        begin = number * third
        for split, share in SHARES.items():
            end = begin + share * shared
            parts.append(_Part(split, number, begin, end))
            begin = end + GAP_SECONDS
    return parts


def _shortest(window: float) -> float:
    """Returns the seconds of a video from which on it can be split."""
    return THIRDS * (window / min(SHARES.values()) + GAP_SECONDS * len(SHARES))


def _third(middle: float, seconds: float) -> int:
    return min(THIRDS - 1, int(THIRDS * middle / seconds))


def _six(
    name: str,
    path: pathlib.Path,
    split: str,
    start: float,
    place: int,
    playback: Playback,
) -> Iterator[Clip]:
    """Yields a place's clips: each speed in both directions."""
    end = start + playback.seconds
    for speed, direction in itertools.product(range(len(SPEEDS)), range(2)):
        played = dataclasses.replace(
            playback, speed=SPEEDS[speed], is_reversed=bool(direction)
        )
        yield Clip(
            f"{name} at {start:.3f} s, {SPEED_NAMES[speed]} {DIRECTIONS[direction]}",
            path,
            (split,),
            (speed, direction, place),
            start=start,
            end=end,
            playback=played,
        )


# How many places a user's videos have is not known; training takes one of the tasks.
DATASET = VideoDataset(read, SPLITS, storages=("keyframes",))


def place_of(clip_id: str) -> str:
    """Returns the place in a clip's id: windows of one place share what happens there."""
    return clip_id.rpartition(", ")[0]
