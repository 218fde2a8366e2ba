"""Where frames come from: a video file, or a camera.

A source is an iterator over (frame, frames a second): `video.frames` of a file, `camera`
of a device, anything alike in a test.
"""

import copy
import functools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from vidshift.data.media.encoding import SQUARE, UNKNOWN_FPS
from vidshift.data.media.player import Player

# By `sys.platform`: FFmpeg's name of what reads cameras, and how it calls the Nth,
# and one with a name.
DEVICES = {
    "linux": ("v4l2", "/dev/video{}", "{}"),
    "darwin": ("avfoundation", "{}", "{}"),
    "win32": ("dshow", "video={}", "video={}"),
}
# A longer way from one frame's time to the next's is an error of the file's.
MOST_SECONDS_BETWEEN = 10.0


class CameraError(ValueError):
    """A camera that cannot be read: one line that names it and says why."""


class Frame(NamedTuple):
    # Gives it upright, uint8 RGB [H, W, 3]; or scaled, of a (height, width).
    show: Callable[..., np.ndarray]
    # From 0, as they came.
    index: int
    # Seconds from the first.
    time: float
    # Frames a second of the source, as it says.
    fps: float
    # Whether the network is to see it.
    due: bool
    # `time.perf_counter()` when it was in hand.
    arrived: float


def camera(device: str) -> Iterator[tuple[av.VideoFrame, float]]:
    """Reads a camera through FFmpeg.

    Args:
      device: its number, or its name (Windows has names alone).

    Raises:
      CameraError: it is not there, or gives no frame any more.
    """
    if sys.platform not in DEVICES:
        raise CameraError(f"camera {device}: not known how to read one here")
    format, numbered, named = DEVICES[sys.platform]
    file = (numbered if device.isdecimal() else named).format(device)
    # What a camera's driver would queue is old by the time it is read.
    options = {"fflags": "nobuffer"}
    if format == "avfoundation":
        options["framerate"] = "30"
    try:
        with av.open(file, format=format, options=options) as container:
            if not container.streams.video:
                raise CameraError(f"camera {device}: {file} has no video")
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                yield frame, float(stream.average_rate or 0)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, CameraError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise CameraError(f"camera {device}: {file}: {reason}") from error
    raise CameraError(f"camera {device}: {file} gives no frame any more")


def timed(
    source: Iterable[tuple[av.VideoFrame, float]],
    *,
    fps: float | None = None,
    every: int = 1,
    stretch: Fraction = SQUARE,
) -> Iterator[Frame]:
    """Numbers frames, says when each is shown, and which of them a network is to see.

    Args:
      fps: how many a second at most; None: all.
      every: of those numbered 0, N, 2 N, ...
      stretch: as of `Player`.
    """
    player, now, last, taken = Player(stretch), 0.0, None, -1
    for index, (picture, rate) in enumerate(source):
        player.see(picture)
        if index:
            step = 0.0 if None in (picture.time, last) else picture.time - last
            usual = 1 / (rate or UNKNOWN_FPS)
            now += step if 0 < step <= MOST_SECONDS_BETWEEN else usual
        last = picture.time
        # Frames a hair early belong to the moment they are meant for.
        moment = index if fps is None else math.floor(now * fps + 1e-3)
        due = moment != taken and index % every == 0
        taken = moment if due else taken
        # How it is turned is that of now: a reader may be ahead.
        show = functools.partial(copy.copy(player).show, picture)
        yield Frame(show, index, now, rate, due, time.perf_counter())


def paced(
    frames: Iterable[Frame],
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Frame]:
    """Gives a file's frames when they are shown, as a camera would."""
    began = None
    for frame in frames:
        began = clock() - frame.time if began is None else began
        if (wait := began + frame.time - clock()) > 0:
            sleep(wait)
        yield frame._replace(arrived=clock())
