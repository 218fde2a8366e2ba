"""The windows of a video or a record, read in one pass, a batch at a time."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split
from vidshift.features.frames import Cutter, network_frames, record_frames, shown
from vidshift.features.network import Rows, StreamNetworks, WindowNetworks
from vidshift.features.plan import Plan
from vidshift.features.windows import Clips, Cut, clips


class Video(NamedTuple):
    """A file, or a row of a split; a row's features are named by its record's id."""

    name: str
    path: str | os.PathLike[str] | bytes | None = None
    split: Split | None = None
    row: int = 0


class Read(NamedTuple):
    """The end of a video: its frames at the rate that was read, and that rate.

    fps: 0 where it is not known.
    label: of a record.
    """

    frames: int
    fps: float
    label: int | tuple[int, ...] | None = None


class Reader:
    """Reads videos; called by several threads at once.

    Args:
      plan: which windows.
      batch_size: windows of a batch.
    """

    def __init__(self, plan: Plan, batch_size: int):
        self._plan, self._batch_size = plan, batch_size

    def __call__(self, video: Video) -> Iterator[str | list[Clips] | Read]:
        """Yields the name of a video's features, its batches, and then its `Read`.

        Raises:
          VideoError: the video cannot be decoded, which may come after some batches, or
            has too few frames for one of a network's.
        """
        record = None if video.split is None else video.split.source[video.row]
        name = video.name if record is None else record["id"]
        yield name
        counted = _Counted()
        if record is None:
            frames = self._of_file(video, counted)
        else:
            frames = self._of_record(record, video.split, counted)
        windows = clips(counted.passed(frames), self._plan.windows)
        while batch := list(itertools.islice(windows, self._batch_size)):
            yield batch
        if not counted.frames:
            raise VideoError(f"{name}: too few frames for one of the network's")
        label = None if record is None else record["label"]
        yield Read(counted.frames, self._plan.fps or counted.fps, label)

    def _of_file(self, video: Video, counted: "_Counted") -> Iterator[Cut]:
        inputs = [run.description.input for run in self._plan.runs]
        # Flow is in pixels as they are stored, and the other network sees the same.
        aspects = {one.pixel_aspect for one in inputs if one.modality != "flow"}
        pictures = shown(
            video.path,
            fps=self._plan.fps,
            pixel_aspect=aspects.pop() if aspects else "ignore",
            name=video.name,
        )

        def noted():
            for picture in pictures:
                counted.fps = picture.fps
                yield picture

        cutters = [Cutter(one) for one in inputs]
        return network_frames(noted(), cutters, self._plan.windows.needs)

    def _of_record(
        self, record: Record, split: Split, counted: "_Counted"
    ) -> Iterator[Cut]:
        counted.fps = record.get("fps", 0.0)
        (run,) = self._plan.runs
        needs = self._plan.windows.needs
        return record_frames(record, split, run.view, needs, fps=self._plan.fps)


class _Counted:
    """Counts the frames that pass."""

    def __init__(self):
        self.frames, self.fps = 0, 0.0

    def passed(self, frames: Iterator[Cut]) -> Iterator[Cut]:
        for frame in frames:
            self.frames += 1
            yield frame


def features(
    plan: Plan,
    networks: WindowNetworks | StreamNetworks,
    results: Iterable[list[Clips] | Read],
    write: Callable[[Rows], object],
) -> Read:
    """Hands a video's features on, batch by batch.

    Args:
      results: of a `Reader`, after the name.
      write: takes rows of features, in order.

    Returns:
      The video's `Read`.
    """
    end, seen = None, 0

    def batches() -> Iterator[list[Clips]]:
        nonlocal end
        for result in results:
            if isinstance(result, Read):
                end = result
            else:
                yield result

    for rows in networks(batches()):
        kept = rows[-seen % plan.keep :: plan.keep]
        seen += len(rows)
        write(kept)
    return end
