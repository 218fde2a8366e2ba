"""Views of a video's frames so far: as a stream, or as a clip."""

import dataclasses
import math

import numpy as np
from jaxtyping import Int64

from vidshift.data.views.view import View

# Of a video's frames.
SHARES = tuple(tenth / 10 for tenth in range(1, 11))


def observed(num_video_frames: int, share: float) -> int:
    """Returns the number of frames that have come, at least one."""
    return max(1, math.floor(share * num_video_frames + 1e-6))


@dataclasses.dataclass(frozen=True, slots=True)
class Streaming:
    """Frames of a video that a stream is shown.

    every: from one frame to the next.
    most_frames: of a video that has more, frames further apart are shown.
    """

    every: int = 1
    most_frames: int = 2000

    def stride(self, num_video_frames: int) -> int:
        """Returns how far apart the frames of a video are."""
        return max(self.every, math.ceil(num_video_frames / self.most_frames))

    def shown(self, num_video_frames: int) -> Int64[np.ndarray, " N"]:
        """Returns the numbers of the frames, from the first on."""
        return np.arange(0, num_video_frames, self.stride(num_video_frames))

    def seen(self, num_video_frames: int) -> list[int]:
        """Counts the frames shown among the first 10, 20, ... % of the video's."""
        first = [observed(num_video_frames, share) for share in SHARES]
        return np.searchsorted(self.shown(num_video_frames), first).tolist()


@dataclasses.dataclass(slots=True)
class ObservedView(View):
    """View of the video so far, a clip for each fraction in `SHARES`."""

    def test_indices(self, num_video_frames: int, fps: float, clips: int) -> np.ndarray:
        """Returns frame numbers, int64 `[shares, T]`."""
        del clips
        seen = [observed(num_video_frames, share) for share in SHARES]
        return np.concatenate([View.test_indices(self, n, fps, 1) for n in seen])
