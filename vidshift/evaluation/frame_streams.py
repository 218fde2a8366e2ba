"""Videos of a split as streams side by side, each frame of each in turn.

A stream that ends makes place for the next video. Of a video there are a few chunks of
frames in memory, decoded by threads ahead of time. Where a file does not show where its
frames are, each chunk is decoded from the video's beginning (`vidshift.data.media.video`).
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, UInt8

from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split, where
from vidshift.data.views import eval_views
from vidshift.data.views.view import View, with_aspect
from vidshift.evaluation.early_views import Streaming

# Frames that are decoded together.
CHUNK = 32
Pictures = UInt8[np.ndarray, "N S S C"]


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """The next frame of each stream.

    frames: cut as evaluation does; black where there is no video any more.
    reset: where a video begins.
    due: streams that have seen a share of their video with this frame: (stream, row of
      the split, which of SHARES).
    """

    frames: UInt8[np.ndarray, "B S S C"]
    reset: Bool[np.ndarray, " B"]
    due: tuple[tuple[int, int, int], ...]


class FrameStreams:
    """Streams of all videos of a split.

    Args:
      split: where the records are.
      view: how frames are cut.
      streaming: which frames are shown.
      streams: B, how many at a time.
      threads: that decode, at least one.

    Attributes:
      labels, ids: of the videos read so far, by row.
      failures: (name, reason) of videos that cannot be decoded.
      failed: their rows; what came of them before the damage does not count.
      thinned: how many had more frames than `streaming.most_frames` lets them show.
    """

    def __init__(
        self,
        split: Split,
        view: View,
        streaming: Streaming,
        *,
        streams: int,
        threads: int,
    ):
        self._split, self._view, self._streaming = split, view, streaming
        self._streams, self._threads = streams, max(1, threads)
        self.labels: dict[int, np.ndarray] = {}
        self.ids: dict[int, str] = {}
        self.failures: list[tuple[str, str]] = []
        self.failed: set[int] = set()
        self.thinned = 0

    def __iter__(self) -> Iterator[Tick]:
        """Yields until every video has ended."""
        pool = ThreadPoolExecutor(self._threads, "vidshift frames")
        try:
            videos = self._videos(pool)
            streams: list[_Video | None] = [None] * self._streams
            while (tick := self._tick(streams, videos)) is not None:
                yield tick
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _tick(
        self, streams: list["_Video | None"], videos: Iterator["_Video"]
    ) -> Tick | None:
        """Returns the next frames; None where every video has ended."""
        side, channels = self._view.crop, self._split.decoded_channels
        frames = np.zeros((len(streams), side, side, channels), np.uint8)
        reset = np.zeros(len(streams), bool)
        due = []
        for stream in range(len(streams)):
            picture = self._next(streams[stream])
            while picture is None and (video := next(videos, None)) is not None:
                streams[stream], reset[stream] = video, True
                picture = self._next(video)
            if picture is None:
                streams[stream] = None
                continue
            frames[stream] = picture
            row = streams[stream].row
            due += [(stream, row, share) for share in streams[stream].due()]
        if all(video is None for video in streams):
            return None
        return Tick(frames, reset, tuple(due))

    def _videos(self, pool: ThreadPoolExecutor) -> Iterator["_Video"]:
        """Yields the videos that can be read, some opened ahead."""
        ahead: collections.deque[tuple[int, Future]] = collections.deque()
        rows = iter(range(len(self._split.source)))
        while True:
            while len(ahead) <= self._threads and (row := next(rows, None)) is not None:
                ahead.append((row, pool.submit(self._read, row)))
            if not ahead:
                return
            row, future = ahead.popleft()
            try:
                record, pictures = future.result()
            except VideoError as error:
                self._fail(row, error)
                continue
            task = self._split.task
            self.labels[row] = task.target(record["label"], len(self._split.classes))
            length = record["num_frames"]
            self.thinned += self._streaming.stride(length) > self._streaming.every
            yield _Video(
                row,
                self._streaming.seen(length),
                _ahead(pool, self._chunks(record), self._decode, pictures),
            )

    def _next(self, video: "_Video | None") -> UInt8[np.ndarray, "S S C"] | None:
        """Returns the next frame; None where the video has ended or is damaged."""
        try:
            return None if video is None else video.next()
        except VideoError as error:
            self._fail(video.row, error)
            return None

    def _fail(self, row: int, error: VideoError) -> None:
        name = self.ids.get(row) or where(self._split.source, row)
        self.failed.add(row)
        self.failures.append((name, str(error)))

    def _read(self, row: int) -> tuple[Record, Pictures]:
        """Reads a record and the first chunk of its frames."""
        record = self._split.source[row]
        self.ids[row] = record["id"]
        return record, self._decode(next(self._chunks(record)))

    def _chunks(self, record: Record) -> Iterator[tuple[Record, np.ndarray]]:
        shown = self._streaming.shown(record["num_frames"])
        for start in range(0, len(shown), CHUNK):
            yield record, shown[start : start + CHUNK]

    def _decode(self, chunk: tuple[Record, np.ndarray]) -> Pictures:
        record, numbers = chunk
        decode = with_aspect(self._split.decode, self._view)
        pictures = decode(record["video"], numbers, name=record["id"])
        size = {"resize": self._view.resize, "crop": self._view.crop}
        return eval_views.lay(pictures, **size, crops=1).frames


class _Video:
    """A video that is being shown."""

    def __init__(self, row: int, seen: list[int], chunks: Iterator[Pictures]):
        self.row = row
        self._seen, self._shown = seen, 0
        self._pictures = (picture for chunk in chunks for picture in chunk)

    def next(self) -> UInt8[np.ndarray, "S S C"] | None:
        self._shown += 1
        return next(self._pictures, None)

    def due(self) -> list[int]:
        """Returns the shares of the video that end with the last frame."""
        return [share for share, n in enumerate(self._seen) if n == self._shown]


def _ahead(
    pool: ThreadPoolExecutor,
    chunks: Iterator,
    decode: Callable[..., Pictures],
    first: Pictures,
) -> Iterator[Pictures]:
    """Yields a video's chunks, of which the first is there, one decoded ahead."""
    next(chunks)
    for chunk in chunks:
        future = pool.submit(decode, chunk)
        yield first
        first = future.result()
    yield first
