"""Frames of a video as networks take them: one pass of the decoder, each frame cut once.

A frame of a network may be one picture, or several that follow each other: differences of
RGB frames, or optical flow.
"""

import collections
import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from vidshift.data.media import flow, video
from vidshift.data.media import pixel_aspect as aspects
from vidshift.data.media.container import label_of
from vidshift.data.media.frame_index import index_of
from vidshift.data.media.player import Player
from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.records.storage import fitted
from vidshift.data.sources.split import Split
from vidshift.data.views import eval_views
from vidshift.data.views.view import View, with_aspect
from vidshift.description import Input
from vidshift.features.windows import Cut

# Frames of a record that are decoded together.
CHUNK = 256


class Shown:
    """A frame in the decoder's hands, which becomes pixels where it is needed.

    Args:
      show: gives it upright in RGB; of a size and by an interpolation, if given.
      size: its height and width as shown.
      repeats: how often it comes at the rate that is read.
      fps: of the video; 0 if not known.
    """

    def __init__(self, show: Callable, size: tuple[int, int], repeats: int, fps: float):
        self._show, self._size = show, size
        self.repeats, self.fps = repeats, fps

    @functools.cached_property
    def rgb(self) -> UInt8[np.ndarray, "H W 3"]:
        return self._show()

    @functools.cached_property
    def scaled(self) -> UInt8[np.ndarray, "H W 3"]:
        """The frame as preparation scales it before it computes flow."""
        return np.ascontiguousarray(self._show(fitted(*self._size), "BICUBIC"))


def shown(
    source: video.Source,
    *,
    fps: float | None = None,
    pixel_aspect: str = "ignore",
    name: str | None = None,
) -> Iterator[Shown]:
    """Decodes a video once, from beginning to end.

    Args:
      source: path, or bytes of the file.
      fps: frames a second that are read: of each moment the nearest frame, which may
        come again; None: all, at the video's own rate.
      pixel_aspect: one of `pixel_aspect.PIXEL_ASPECTS`.
      name: what to call the video in errors.

    Raises:
      VideoError: as `video.frames`; the video does not say its rate, and `fps` is given.
    """
    label = label_of(source, name)
    stored = index_of(source, name).pixel_aspect
    player = Player(aspects.stretch(stored, pixel_aspect, of=label, label=label))
    taken = 0
    for frame, rate in video.frames(source, name=name):
        player.see(frame)
        repeats = 1
        if fps is not None:
            repeats = _repeats(frame.time, rate, fps, taken, label)
            taken += repeats
        # How it is turned is that of now.
        show = functools.partial(copy.copy(player).show, frame)
        yield Shown(show, player.size(frame), repeats, rate)


def _repeats(
    time: float | None, rate: float, fps: float, taken: int, label: str
) -> int:
    """Counts the moments k / fps that a frame is nearest to, and no earlier frame."""
    if not rate or time is None:
        raise VideoError(f"{label}: does not say its frame rate, which --fps needs")
    # The second digit is that of the times' microseconds.
    return max(0, math.ceil((time + 0.5 / rate) * fps - 1e-4) - taken)


class Cutter:
    """Makes a network's frame of the pictures that go into it.

    Args:
      input: what the network takes.

    Attributes:
      span: pictures that follow each other, of which a frame is made.
    """

    def __init__(self, input: Input):
        self._flow = input.modality == "flow"
        self._view: View = input.view()
        if self._flow:
            flow.check_installed()
            self.span = input.stack + 1
        else:
            self.span = input.following + 1

    def __call__(self, pictures: Sequence[Shown]) -> UInt8[np.ndarray, "S S C"]:
        """Cuts the middle out of each picture, and joins them as channels."""
        if self._flow:
            parts = [_flow(*pair) for pair in itertools.pairwise(pictures)]
        else:
            parts = [picture.rgb for picture in pictures]
        return np.concatenate([cut(part, self._view) for part in parts], -1)


def _flow(before: Shown, after: Shown) -> UInt8[np.ndarray, "H W 2"]:
    """Computes flow as preparation does; each pair's is kept with its first frame."""
    kept = vars(before).get("flow")
    if kept is None:
        (both,) = flow.pictures((before.scaled, after.scaled))
        kept = vars(before)["flow"] = np.stack(np.split(both[..., 0], 2), -1)
    return kept


def cut(picture: UInt8[np.ndarray, "H W c"], view: View) -> UInt8[np.ndarray, "S S c"]:
    """Resizes a picture and cuts its middle out, as evaluation does."""
    size = {"resize": view.resize, "crop": view.crop}
    return eval_views.lay(picture[None], **size, crops=1).frames[0]


def network_frames(
    pictures: Iterable[Shown],
    cutters: Sequence[Cutter],
    needs: Callable[[int], bool],
) -> Iterator[Cut]:
    """Yields the frames of several networks, each cut once; None where none is needed.

    The last pictures of a video, after which too few follow, begin no frame.

    Args:
      needs: says whether the frame of a number is needed.
    """
    span = max(cutter.span for cutter in cutters)
    held: collections.deque[Shown] = collections.deque(maxlen=span)
    number = 0
    for picture in pictures:
        held.append(picture)
        if len(held) < span:
            continue
        made = None
        for _ in range(held[0].repeats):
            if needs(number) and made is None:
                together = list(held)
                made = tuple(cutter(together[: cutter.span]) for cutter in cutters)
            yield made if needs(number) else None
            number += 1


def record_frames(
    record: Record,
    split: Split,
    view: View,
    needs: Callable[[int], bool],
    *,
    fps: float | None = None,
) -> Iterator[Cut]:
    """Yields the frames of a record for one network; see `network_frames`.

    Args:
      record: of the split, whose frames are as the network takes them.
      fps: as of `shown`.

    Raises:
      VideoError: as of the split's `decode`; no rate is known and `fps` is given.
    """
    decode = with_aspect(split.decode, view)
    own = record.get("fps", 0.0)
    number = taken = 0
    for first in range(0, record["num_frames"], CHUNK):
        numbers = np.arange(first, min(first + CHUNK, record["num_frames"]))
        pictures = decode(record["video"], numbers, name=record["id"])
        for place, picture in zip(numbers.tolist(), pictures, strict=True):
            repeats = 1
            if fps is not None:
                time = place / own if own else None
                repeats = _repeats(time, own, fps, taken, record["id"])
                taken += repeats
            for _ in range(repeats):
                yield (cut(picture, view),) if needs(number) else None
                number += 1
