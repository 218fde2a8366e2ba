"""Counts the frames of a video and says when each is shown.

What counts is a plain decoding from beginning to end. Where a file's headers prove which
packet is which frame (`PacketTable`), its packets are read and none is decoded.
"""

import bisect
import contextlib
import dataclasses
import functools
import itertools
import os
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from vidshift.data.media import container
from vidshift.data.media.container import Source, VideoError, is_of, open_stream
from vidshift.data.media.packet_table import TIMED_FORMATS, PacketTable

# Containers that state no time of showing: a frame is shown when its turn comes.
UNTIMED_FORMATS = frozenset({"avi"})
# Files whose index a process keeps: many clips may be cut out of one.
MOST_KEPT = 64
# Codecs whose pictures that are shown after a keyframe are not predicted from those before
# it, and that are worth a search: others are decoded from the start in no time.
KEYFRAME_CODECS = frozenset({"hevc", "av1", "libdav1d"})


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """Which frame is shown when, and where to begin for some."""

    # When each frame is shown, in the stream's unit, ascending.
    pts: Sequence[int]
    # Of each part that is decoded by itself: its first frame's number, the time to seek,
    # and the time of showing of its first packet.
    firsts: Sequence[int]
    seek_to: Sequence[int]
    begins: Sequence[int]
    # True if the frames were decoded to find it out.
    is_counted: bool = False

    def number(self, pts: int | None) -> int:
        """Returns a frame's number; -1 of one that is not shown."""
        if pts is None:
            return -1
        place = bisect.bisect_left(self.pts, pts)
        return place if place < len(self.pts) and self.pts[place] == pts else -1


@dataclasses.dataclass(frozen=True, slots=True)
class FrameIndex:
    # Frames that are there, up to the first that is damaged.
    num_frames: int
    # When each is shown, seconds from the first one, ascending; None: not known.
    times: np.ndarray | None
    # Mean frames a second; 0 if not known.
    fps: float
    # Width of a pixel over its height, as the file is stored.
    pixel_aspect: Fraction
    # Frames that the container states and that are not there, and why.
    lost: int
    cut_short: str | None
    # None: frames can be told by their order alone.
    proof: Proof | None
    # Why counting ended early.
    error: VideoError | None
    # True if frames come in the order of the times that the file gives them.
    in_order: bool

    @property
    def begins_whole(self) -> bool:
        """True if the first packet is known to be a keyframe."""
        return self.proof is not None and not self.proof.is_counted

    def between(self, start: float, end: float | None) -> tuple[int, int]:
        """Returns the numbers of a part's first frame and of the one after it."""
        near = 1e-4  # two times that differ by less are the same
        first = int(np.searchsorted(self.times, start - near))
        if end is None:
            return first, self.num_frames
        return first, max(first, int(np.searchsorted(self.times, end - near)))


def index_of(source: Source, name: str | None = None) -> FrameIndex:
    """Returns the index of a video; that of a path is kept while the file is the same.

    A frame that is damaged ends it, with an `error`.

    Raises:
      VideoError: as `open_stream`.
    """
    if isinstance(source, bytes):
        return _index(source, name)
    path = os.path.abspath(source)
    try:
        state = os.stat(path)
    except OSError:
        return _index(source, name)
    try:
        index = _kept(path, state.st_size, state.st_mtime_ns, state.st_ino)
    except VideoError:
        index = None
    # An error names the file as the caller does.
    return _index(source, name) if index is None or index.error else index


@functools.lru_cache(maxsize=MOST_KEPT)
def _kept(path: str, *state: int) -> FrameIndex:
    return _index(path, None)


def _index(source: Source, name: str | None) -> FrameIndex:
    with open_stream(source, name) as (stream, label):
        table = PacketTable(stream)
        if table.may_prove:
            for packet in container.packets(stream):
                table.add(packet)
            if (proof := _proof(table)) is not None:
                return _made(stream, source, table, proof.pts, proof)
    with open_stream(source, name) as (stream, label):
        return _counted(stream, source, label)


def _proof(table: PacketTable) -> Proof | None:
    pts = table.shown_pts()
    periods = table.periods() if pts else []
    if not pts or not all(map(table.proves, periods)):
        return None
    firsts, seek_to, begins = [], [], []
    for period in periods:
        shown = [table.pts[p] for p in period if not table.hidden[p]]
        if shown:
            firsts.append(bisect.bisect_left(pts, min(shown)))
            begins.append(table.pts[period.start])
            seek_to.append(_earlier(table, period.start))
    return Proof(pts, firsts, seek_to, begins)


def _counted(stream: av.VideoStream, source: Source, label: str) -> FrameIndex:
    table, error = PacketTable(stream), None
    context = stream.codec_context
    context.copy_opaque = True
    # Time of showing and position of its packet, frame by frame.
    shown: list[tuple[int | None, int | None]] = []
    keyframes: list[int] = []

    def numbered():
        for packet in container.packets(stream):
            table.add(packet)
            packet.opaque = len(table) - 1
            yield packet

    try:
        for frame in container.decoded(stream, numbered(), label):
            if frame.key_frame:
                keyframes.append(len(shown))
            shown.append((frame.pts, frame.opaque))
    except VideoError as damage:
        error = damage
    waiting = []
    if error:
        # Frames that wait behind the damage may have earlier times than those before it.
        with contextlib.suppress(av.FFmpegError):
            waiting = [(frame.pts, frame.opaque) for frame in context.decode(None)]
    in_order = _are_ascending([time for time, _ in (*shown, *waiting)])
    ticks = _timeline(stream, table, [*shown, *waiting])
    ticks = ticks and ticks[: len(shown)]
    proof = None
    if context.name in KEYFRAME_CODECS and is_of(stream, TIMED_FORMATS) and not error:
        proof = _counted_proof(table, shown, keyframes)
    return _made(
        stream,
        source,
        table,
        ticks,
        proof,
        error=error,
        count=len(shown),
        in_order=in_order,
    )


def _are_ascending(pts: Sequence[int | None]) -> bool:
    return None not in pts and all(a < b for a, b in itertools.pairwise(pts))


def _counted_proof(
    table: PacketTable,
    shown: Sequence[tuple[int | None, int | None]],
    keyframes: Sequence[int],
) -> Proof | None:
    """Returns where to begin for a frame of a stream that was decoded to be counted."""
    pts = [time for time, _ in shown]
    if not _are_ascending(pts):
        return None
    places = [shown[number][1] for number in keyframes]
    if any(place is None or table.pts[place] is None for place in places):
        return None
    begins = [table.pts[place] for place in places]
    if not begins or begins != sorted(begins):
        return None
    seek_to = [_earlier(table, place) for place in places]
    return Proof(pts, keyframes, seek_to, begins, True)


def _earlier(table: PacketTable, place: int) -> int:
    """Returns the earlier of a packet's times: some containers are searched by one."""
    pts, dts = table.pts[place], table.dts[place]
    return pts if dts is None else min(pts, dts)


def _made(
    stream: av.VideoStream,
    source: Source,
    table: PacketTable,
    ticks: Sequence[int] | None,
    proof: Proof | None = None,
    *,
    error: VideoError | None = None,
    count: int | None = None,
    in_order: bool = True,
) -> FrameIndex:
    count = len(ticks) if count is None else count
    fps, times = float(_nominal(stream)), None
    if ticks is not None:
        tick = Fraction(stream.time_base)
        fps = float(mean_rate(ticks, tick, _nominal(stream)))
        times = np.asarray(ticks, np.float64) - (ticks[0] if ticks else 0)
        times *= float(tick)
    elif fps:
        times = np.arange(count) / fps
    lost, cut_short = _lost(stream, source, table)
    aspect = container.pixel_aspect(stream)
    return FrameIndex(
        count, times, fps, aspect, lost, cut_short, proof, error, in_order
    )


def mean_rate(ticks: Sequence[int], tick: Fraction, nominal: Fraction) -> Fraction:
    """Returns the mean frames a second of frames shown at some times.

    Args:
      ticks: when each is shown, ascending.
      tick: their unit, seconds.
      nominal: what the container states, 0 if nothing. It counts where the times agree
        with it but for their rounding, and of a single frame.
    """
    gaps = len(ticks) - 1
    span = (ticks[-1] - ticks[0]) * tick if gaps > 0 else 0
    if not span or (nominal and abs(gaps / nominal - span) <= tick):
        return nominal
    return gaps / span


def _nominal(stream: av.VideoStream) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or 0)


def _timeline(
    stream: av.VideoStream,
    table: PacketTable,
    shown: Sequence[tuple[int | None, int | None]],
) -> list[int] | None:
    """When decoded frames are shown, in order; None if nothing states it.

    Some containers give a frame the time at which it is decoded: the times are right
    then, but not which is whose, as frames come in another order. Where another stream
    follows whose times begin anew, its frames come after those of the first.
    """
    if stream.time_base is None or not shown:
        return None if stream.time_base is None else []
    untimed = is_of(stream, UNTIMED_FORMATS)
    # The stream that each packet is of.
    parts, part, last = [], 0, None
    for time in table.dts:
        if time is not None:
            part += last is not None and time < last
            last = time
        parts.append(part)
    times_of_parts: list[list[int | None]] = [[] for _ in range(part + 1)]
    current = 0
    taken = _turns(stream, table, shown) if untimed else table.dts
    for pts, position in shown:
        if position is not None and 0 <= position < len(table):
            current = max(current, parts[position])
            if untimed:
                pts = taken[position]
        times_of_parts[current].append(pts)
    step = round(1 / (_nominal(stream) * stream.time_base)) if _nominal(stream) else 1
    ticks: list[int] = []
    shift = 0
    for times in times_of_parts:
        filled = _filled(times, step)
        if filled is None:
            return None
        filled.sort()
        if ticks and filled and filled[0] + shift <= ticks[-1]:
            shift = ticks[-1] + step - filled[0]
        ticks += [time + shift for time in filled]
    return ticks


def _turns(
    stream: av.VideoStream,
    table: PacketTable,
    shown: Sequence[tuple[int | None, int | None]],
) -> list[int | None]:
    """When each packet is decoded; of a recording's first frame, the turn it is shown at.

    Frames between a first keyframe and the next packet with a frame come before that
    keyframe: they are predicted from what is not there.
    """
    turns = list(table.dts)
    givers = {position for _, position in shown}
    first = min((place for place in givers if place is not None), default=None)
    if first is not None and stream.codec_context.has_b_frames:
        last = first
        while last + 1 < len(turns) and last + 1 not in givers:
            last += 1
        if last + 1 < len(turns):
            turns[first] = turns[last]
    return turns


def _filled(times: list[int | None], step: int) -> list[int] | None:
    """Gives frames without a time one between their neighbours'; None if none has one."""
    places = [place for place, time in enumerate(times) if time is not None]
    if not places:
        return None if times else []
    if len(places) == len(times):
        return list(times)
    known = [times[place] for place in places]
    before = [known[0] - step * (places[0] - place) for place in range(places[0])]
    within = np.interp(np.arange(places[0], places[-1] + 1), places, known)
    after = [
        known[-1] + step * (place - places[-1])
        for place in range(places[-1] + 1, len(times))
    ]
    return [*before, *(round(time) for time in within), *after]


def _lost(
    stream: av.VideoStream, source: Source, table: PacketTable
) -> tuple[int, str | None]:
    """Returns the number of frames stated but missing, and a phrase that says it."""
    missing = container.missing_bytes(stream, source)
    read = len(table) + table.empty
    if is_of(stream, frozenset({"matroska"})):
        return 0, f"cut short, {missing:,} bytes are missing" if missing else None
    if is_of(stream, frozenset({"mp4"})):
        # What an edit list leaves out is not in the index, nor is it read.
        stated = len(stream.index_entries)
    else:
        stated = stream.frames
    if is_of(stream, UNTIMED_FORMATS):
        # Frames that were dropped are empty packets, of which the demuxer gives none, but
        # they take their time. A file that is whole has no other gaps.
        times = [time for time in table.dts if time is not None]
        read = stated if missing == 0 else max(times, default=-1) + 1
    lost = max(0, stated - read)
    reason = f"cut short, {stated - lost} of {stated} frames are there"
    return lost, reason if lost else None
