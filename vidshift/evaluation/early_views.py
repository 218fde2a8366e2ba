"""Views of a video's frames so far, as a clip or as a stream."""

import dataclasses
import math

import numpy as np

from vidshift.data.records.record import Record
from vidshift.data.sources.split import Source, where
from vidshift.data.views.view import View

# Of a video's frames.
SHARES = tuple(tenth / 10 for tenth in range(1, 11))


def observed(num_video_frames: int, share: float) -> int:
    """Returns the number of frames seen, at least one."""
    return max(1, math.floor(share * num_video_frames + 1e-6))


@dataclasses.dataclass(slots=True)
class ObservedView(View):
    """View of the video so far, a clip for each fraction in `SHARES`."""

    def test_indices(self, num_video_frames: int, fps: float, clips: int) -> np.ndarray:
        """Returns frame numbers, int64 `[shares, T]`."""
        del clips
        seen = [observed(num_video_frames, share) for share in SHARES]
        return np.concatenate([View.test_indices(self, n, fps, 1) for n in seen])


@dataclasses.dataclass(slots=True)
class StreamedView(View):
    """View of a video's first frame and the frames of its clip in evaluation.

    Its `num_frames` is one more than the network's.
    """

    def test_indices(self, num_video_frames: int, fps: float, clips: int) -> np.ndarray:
        """Returns frame numbers, int64 `[1, 1 + T]`."""
        of_clip = dataclasses.replace(self, num_frames=self.num_frames - 1)
        chosen = View.test_indices(of_clip, num_video_frames, fps, clips)
        return np.pad(chosen, ((0, 0), (1, 0)))

    def steps(self, num_video_frames: int, fps: float) -> np.ndarray:
        """Counts the clip's frames that have come at each share, int64 `[shares]`."""
        chosen = self.test_indices(num_video_frames, fps, 1)[0, 1:]
        # Of a short video "dense" begins again: what comes later is not seen earlier.
        latest = np.maximum.accumulate(chosen)
        seen = [observed(num_video_frames, share) for share in SHARES]
        return np.searchsorted(latest, seen)


class Noting:
    """Source that remembers the length of each video, by row."""

    def __init__(self, source: Source):
        self._source = source
        self.lengths: dict[int, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, row: int) -> Record:
        record = self._source[row]
        self.lengths[row] = record["num_frames"], record.get("fps", 0.0)
        return record

    def where(self, row: int) -> str:
        return where(self._source, row)
