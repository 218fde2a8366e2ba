"""Windows that slide over the frames of a video, cut to what networks are shown."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from vidshift.data.views.sampling import DENSE_WINDOW, clip_span
from vidshift.data.views.view import View

# A frame as each of several networks takes it, `[S, S, C]`; None: no window needs it.
Cut = tuple[UInt8[np.ndarray, "..."], ...] | None
# A window as each of them takes it, `[T, S, S, C]`.
Clips = tuple[UInt8[np.ndarray, "..."], ...]


def usual_window(view: View) -> int:
    """Returns the frames that a clip of a network spans, at its own frame rate."""
    if view.sampling == "dense":
        return DENSE_WINDOW
    if view.sampling == "strided":
        rate = {"fps": 0.0, "stride_fps": view.stride_fps}
        return math.ceil(clip_span(view.num_frames, view.frame_stride, **rate))
    return view.num_frames


@dataclasses.dataclass(frozen=True, slots=True)
class Windows:
    """Windows of `size` frames, one every `stride` frames, from the first frame on.

    A video shorter than a window has one, in which its last frame repeats. What is left
    at the end of a longer one, less than a stride, is in no window.

    offsets: of each network, the frames of a window that it is shown, int64 `[T]`.
    """

    size: int
    stride: int
    offsets: tuple[Int64[np.ndarray, "..."], ...]

    @classmethod
    def of(
        cls, views: Sequence[View], *, size: int, stride: int, fps: float | None
    ) -> "Windows":
        """Shows each network the clip that evaluation takes of a video of `size` frames.

        Args:
          views: of the networks, in evaluation.
          fps: frames a second; None: those that the network was trained with.
        """
        offsets = [
            view.test_indices(size, fps or view.stride_fps or 0.0, 1)[0]
            for view in views
        ]
        return cls(size, stride, tuple(offsets))

    @classmethod
    def every_frame(cls, networks: int) -> "Windows":
        """Returns windows of one frame each."""
        return cls(1, 1, (np.zeros(1, np.int64),) * networks)

    def needs(self, frame: int) -> bool:
        """Says whether a window shows a frame, or may where the video ends early."""
        if frame < self.size:
            return True
        begins = frame - np.concatenate(self.offsets)
        return bool((begins % self.stride == 0).any())

    def centre(self, window: int, fps: float) -> float:
        """Returns the middle of a window, seconds from the video's first frame."""
        return (window * self.stride + self.size / 2) / fps


def clips(frames: Iterable[Cut], windows: Windows) -> Iterator[Clips]:
    """Yields each window's clips, and holds the frames of one window at a time."""
    held: dict[int, tuple] = {}
    start = number = 0
    for number, cut in enumerate(frames, start=1):
        if cut is not None and number > start:
            held[number - 1] = cut
        if number < start + windows.size:
            continue
        yield _joined(held, start, windows, last=number - 1)
        start += windows.stride
        held = {place: cut for place, cut in held.items() if place >= start}
    if number and not start:  # shorter than a window
        yield _joined(held, 0, windows, last=number - 1)


def _joined(held: dict[int, tuple], start: int, windows: Windows, last: int) -> Clips:
    return tuple(
        np.stack([held[min(start + int(place), last)][network] for place in offsets])
        for network, offsets in enumerate(windows.offsets)
    )
