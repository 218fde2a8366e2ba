"""Videos to frames, by PyAV: count them, decode all, or only those that are asked for.

Frames are numbered from 0 in the order they are shown. A video is a path or the
bytes of a file.
"""

import contextlib
import dataclasses
import io
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import SupportsIndex

import av
import numpy as np
from jaxtyping import UInt8

from vidshift.data import h264, matroska
from vidshift.data.player import Player

Source = str | os.PathLike | bytes

# Containers that store when each frame is shown. For the others (AVI) FFmpeg guesses,
# wrongly where there are B-frames.
TIMED_FORMATS = frozenset({"mp4", "matroska", "mpegts"})
# Of these, those that know where their keyframes are. In MPEG-TS one lands anywhere.
INDEXED_FORMATS = frozenset({"mp4", "matroska"})
# All but the texts that name other files, which a record would lack, or addresses, for
# which FFmpeg waits.
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sap", "sdp"})
FORMATS = ",".join(sorted(av.formats_available - PLAYLISTS))

# Codecs whose every frame is a picture of its own.
INTRA_CODECS = frozenset({"mjpeg"})

# Codecs whose every packet is shown, so that one without a frame was lost in silence.
SHOWN_CODECS = frozenset({"h264", "hevc"})

# Two times of a frame that differ by less are the same.
EPSILON_SECONDS = 1e-4


class VideoError(ValueError):
    """A video that cannot be read: one line that names it and says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class VideoInfo:
    num_frames: int
    # Mean frames a second; 0 if the container does not say.
    fps: float
    # Pixels, as shown (after rotation).
    height: int
    width: int


def probe(source: Source, *, name: str | None = None) -> VideoInfo:
    """Counts the frames of a video and decodes the first one for its size.

    The packets are counted, since some containers state no count. Where the container
    states more than there are, the file was cut short and the stated count is given,
    so that asking for a lost frame fails instead of moving the others in time.

    Args:
      source: path, or bytes of the file.
      name: what to call the video in errors; its path by default.

    Raises:
      VideoError: no such file, empty, not a video, no video stream, or damaged.
    """
    with _open(source, name) as (stream, label):
        shown = count = 0

        def counted() -> Iterator[av.Packet]:
            nonlocal shown, count
            for packet in _packets(stream):
                shown, count = shown + (not packet.is_discard), count + 1
                yield packet

        packets = counted()
        first = next(_decoded(stream, packets, label), None)
        if first is None:
            raise VideoError(f"{label}: no frame can be decoded")
        for _ in packets:
            pass
        lost = max(0, _stated(stream) - count)
        player = Player()
        player.see(first)
        height, width = player.show(first).shape[:2]
        return VideoInfo(shown + lost, _fps(stream), height, width)


def frames(
    source: Source,
    *,
    start: float | None = None,
    end: float | None = None,
    name: str | None = None,
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Decodes a video from beginning to end, holding one frame at a time.

    Args:
      source: path, or bytes of the file.
      start: seconds from the video's first frame; frames before are left out.
      end: frames from here on are left out.
      name: what to call the video in errors; its path by default.

    Yields:
      The frames in the order they are shown, as they are stored (`Player` turns them),
      each with the video's mean frames a second (0 if the container does not say).

    Raises:
      VideoError: as `probe`; a frame is damaged; the file was cut short; or there is no
        frame between start and end. It comes after the frames before the damage.
    """
    if start:
        with contextlib.suppress(_TooLate):
            yield from _between(source, start, end, name, seek=True)
            return
    yield from _between(source, start or 0.0, end, name, seek=False)


class _TooLate(Exception):
    """Seeking led behind the frame that was sought, or failed."""


def _between(
    source: Source, start: float, end: float | None, name: str | None, *, seek: bool
) -> Iterator[tuple[av.VideoFrame, float]]:
    """What `frames` yields; may raise _TooLate before the first if `seek`."""
    cut = start > 0 or end is not None
    with _open(source, name) as (stream, label):
        missing = 0 if cut else _missing_bytes(stream, source)
        timed = _of(stream, TIMED_FORMATS) and stream.time_base is not None
        tick = float(stream.time_base) if timed else 0.0
        first = stream.start_time or 0
        fps = _fps(stream)
        if cut and not (timed or fps):
            raise VideoError(f"{label}: cannot be cut, it does not say its frame rate")
        sought = seek and timed and _of(stream, INDEXED_FORMATS)
        if sought:
            # A keyframe's place is that of its decoding, a little before it is shown.
            early = max(0.0, start - 1.0)
            try:
                stream.container.seek(first + int(early / tick), stream=stream)
            except (av.FFmpegError, OverflowError) as error:
                raise _TooLate from error
        ledger, given, ended = _Ledger(), 0, False
        packets = ledger.read(_packets(stream, label))
        for index, frame in enumerate(_decoded(stream, packets, label)):
            ledger.seen.append(frame.pts)
            if cut:
                if timed and frame.pts is None:
                    raise VideoError(f"{label}: cannot be cut, a frame has no time")
                time = (frame.pts - first) * tick if timed else index / fps
                if sought and index == 0 and time > start + EPSILON_SECONDS:
                    raise _TooLate
                if end is not None and time > end - EPSILON_SECONDS:
                    break
                if time < start - EPSILON_SECONDS:
                    continue
            given += 1
            yield frame, fps
        else:
            ended = True
            if missing:
                raise VideoError(f"{label}: cut short, {missing:,} bytes are missing")
            if not sought and ledger.packets < _stated(stream):
                raise VideoError(
                    f"{label}: cut short, {ledger.packets} of {_stated(stream)} frames "
                    "are there"
                )
        if not given and sought and not ledger.packets:
            raise _TooLate
        shown = timed and stream.codec_context.name in SHOWN_CODECS
        if shown and (lost := ledger.lost(ended)) is not None:
            raise VideoError(f"{label}: damaged at {(lost - first) * tick:.2f} s")
        if not given and cut:
            until = "on" if end is None else f"to {end} s"
            raise VideoError(f"{label}: no frame from {start} s {until}")
        if not given:
            raise VideoError(f"{label}: no frame can be decoded")


def decode(
    source: Source, indices: Iterable[SupportsIndex], *, name: str | None = None
) -> UInt8[np.ndarray, "N H W 3"]:
    """Decodes some frames, the same bits that decoding the whole video gives.

    H.264 is decoded from the keyframe before each wanted frame only and without the
    pictures that no other needs (`h264.needed_packets`); other codecs from the start
    to the last wanted frame. One thread: more cost CPU time, and a loader has many
    videos to spread over its own.

    Args:
      source: path, or bytes of the file.
      indices: frame numbers, in any order, repeats allowed, at least one.
      name: what to call the video in errors; its path by default.

    Returns:
      RGB frames in the order of `indices`, turned upright.

    Raises:
      ValueError: `indices` is empty or holds a negative number.
      VideoError: as `probe`, or a wanted frame is not there or damaged, or a frame it
        is predicted from is.
    """
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"indices must be frame numbers >= 0, got {indices}")
    wanted = set(indices)
    with _open(source, name) as (stream, label):
        packets = list(_packets(stream))
        total = max(_stated(stream), len(packets))
        frames = _selected(stream, packets, wanted, label)
        if frames is None:
            frames = _in_order(stream, packets, label)
        player = Player()
        found: dict[int, np.ndarray] = {}
        for index, frame in frames:
            player.see(frame)
            if index in wanted:
                found[index] = player.show(frame)
                if len(found) == len(wanted):
                    break
    if lost := wanted - found.keys():
        raise VideoError(
            f"{label}: frame {min(lost)} cannot be decoded (it should have {total})"
        )
    if len({frame.shape for frame in found.values()}) > 1:
        raise VideoError(f"{label}: the frame size changes within the video")
    return np.stack([found[index] for index in indices])


class _Ledger:
    """What went into a decoder and what came out."""

    def __init__(self):
        self.packets = 0
        # When each packet and each frame is shown.
        self.due: list[int | None] = []
        self.seen: list[int | None] = []

    def read(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        for packet in packets:
            self.packets += 1
            if not packet.is_discard:
                self.due.append(packet.pts)
            yield packet

    def lost(self, ended: bool) -> int | None:
        """The first time without its frame, before the last frame or the end."""
        due, seen = set(self.due), set(self.seen)
        if None in due | seen or len(due) != len(self.due) or not seen:
            return None
        first, last = self.seen[0], np.inf if ended else max(seen)
        # What comes before a stream's first keyframe cannot be decoded.
        within = {time for time in due if first < time < last}
        return min(within - seen, default=None)


@contextlib.contextmanager
def _open(source: Source, name: str | None) -> Iterator[tuple[av.VideoStream, str]]:
    """Opens the video stream of a file; every FFmpeg error becomes a VideoError."""
    if isinstance(source, bytes):
        label, empty, file = name or "<bytes>", not source, io.BytesIO(source)
    else:
        label = name or os.fspath(source)
        if not os.path.isfile(source):
            what = "a folder" if os.path.isdir(source) else "no such file"
            raise VideoError(f"{label}: {what}")
        # Of a name like `one:two.mp4` FFmpeg would take the first word for a protocol.
        file = os.path.abspath(source)
        try:
            empty = os.path.getsize(file) == 0
        except OSError as error:
            raise VideoError(f"{label}: {error.strerror}") from error
    if empty:
        raise VideoError(f"{label}: empty file")
    try:
        container = av.open(
            file,
            # A title may be in any encoding.
            metadata_errors="replace",
            options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
        )
    except av.FFmpegError as error:
        raise VideoError(
            f"{label}: not a video, or cut short ({error.strerror})"
        ) from error
    with container:
        streams = [
            stream
            for stream in container.streams.video
            # A picture of the record's cover is a video stream of one frame to FFmpeg.
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not streams:
            raise VideoError(f"{label}: no video stream")
        context = streams[0].codec_context
        if context is None:
            raise VideoError(f"{label}: no decoder for this codec")
        context.thread_type, context.thread_count = "NONE", 1
        try:
            yield streams[0], label
        except av.FFmpegError as error:
            raise VideoError(f"{label}: damaged ({error.strerror})") from error


def _packets(stream: av.VideoStream, label: str | None = None) -> Iterator[av.Packet]:
    """Yields the whole packets of a stream, up to where the file is cut short.

    With a label, a file that is seen to be cut short is a VideoError.
    """
    held: list[av.Packet] = []
    # The demuxer marks the end by an empty packet, and some files end in an error.
    try:
        for packet in stream.container.demux(stream):
            if not packet.size:
                continue
            if not (held or packet.is_corrupt):
                yield packet
                continue
            # Also marked is one of the last two before another stream begins, in MPEG-TS
            # that was put together of segments.
            held.append(packet)
            if packet.is_keyframe and len(held) > 1:
                yield from held
                held = []
            elif len(held) > 2:
                break
    except av.InvalidDataError:
        pass
    except av.FFmpegError as error:
        if label is not None:
            raise VideoError(f"{label}: cut short ({error.strerror})") from error
    if held and label is not None:
        raise VideoError(f"{label}: cut short, or damaged between two frames")


def _in_order(
    stream: av.VideoStream, packets: list[av.Packet], label: str
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decodes everything and numbers the frames as they come out.

    Time stamps are not used, see TIMED_FORMATS.
    """
    yield from enumerate(_decoded(stream, packets, label))


def _selected(
    stream: av.VideoStream, packets: list[av.Packet], wanted: set[int], label: str
) -> Iterator[tuple[int, av.VideoFrame]] | None:
    """Decodes what the wanted frames of an H.264 stream need; None if unknown."""
    codec = stream.codec_context.name
    if not _of(stream, TIMED_FORMATS) or codec not in {"h264", *INTRA_CODECS}:
        return None
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) != len(times):
        return None
    # Where another stream follows, its times may lie before those of the first.
    decoded = [packet.dts for packet in packets if packet.dts is not None]
    if any(later <= time for time, later in itertools.pairwise(decoded)):
        return None
    # Packets that an edit list hides are decoded but never shown.
    shown = (packet.pts for packet in packets if not packet.is_discard)
    index_of = {pts: index for index, pts in enumerate(sorted(shown))}
    positions = {p for p, pts in enumerate(times) if index_of.get(pts) in wanted}
    if codec in INTRA_CODECS:
        runs = [sorted(positions)]
    else:
        runs = h264.needed_packets(
            [bytes(packet) for packet in packets],
            h264.length_size(stream.codec_context.extradata),
            positions,
        )
    if runs is None:
        return None
    return (
        # One that is not shown has no number.
        (index_of.get(frame.pts, -1), frame)
        for run in runs
        for frame in _decoded(stream, [packets[p] for p in run], label)
    )


def _missing_bytes(stream: av.VideoStream, source: Source) -> int:
    """How much longer a file should be whose container states no number of frames."""
    if not _of(stream, frozenset({"matroska"})):
        return 0
    if isinstance(source, bytes):
        return matroska.missing_bytes(source[: matroska.HEAD_BYTES], len(source))
    with open(source, "rb") as file:
        head = file.read(matroska.HEAD_BYTES)
    return matroska.missing_bytes(head, os.path.getsize(source))


def _decoded(
    stream: av.VideoStream, packets: Iterable[av.Packet], label: str
) -> Iterator[av.VideoFrame]:
    """Decodes packets from a fresh decoder to its last frame; damage is an error."""
    context = stream.codec_context
    try:
        for packet in itertools.chain(packets, (None,)):
            for frame in context.decode(packet):
                if frame.is_corrupt:
                    when = "" if frame.time is None else f" at {frame.time:.2f} s"
                    raise VideoError(f"{label}: damaged{when}")
                yield frame
        context.flush_buffers()
    except av.FFmpegError as error:
        raise VideoError(f"{label}: damaged ({error.strerror})") from error


def _of(stream: av.VideoStream, formats: frozenset[str]) -> bool:
    return not formats.isdisjoint(stream.container.format.name.split(","))


def _stated(stream: av.VideoStream) -> int:
    """How many packets the container says there are; 0 if it does not."""
    if _of(stream, frozenset({"mp4"})):
        # What an edit list leaves out is not in the index, nor is it read.
        return len(stream.index_entries)
    return stream.frames


def _fps(stream: av.VideoStream) -> float:
    return float(stream.average_rate or 0)
