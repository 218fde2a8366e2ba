"""Videos to frames, by PyAV: count them, decode all, or only those that are asked for.

Frames are those that a plain decoding gives, numbered from 0 in the order it gives them. A
video is a path or the bytes of a file.
"""

import bisect
import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import SupportsIndex

import av
import numpy as np
from jaxtyping import UInt8

from vidshift.data.media import container, h264, hevc
from vidshift.data.media import pixel_aspect as aspects
from vidshift.data.media.container import Source, VideoError, is_of, open_stream
from vidshift.data.media.frame_index import FrameIndex, Proof, index_of
from vidshift.data.media.packet_table import TIMED_FORMATS, PacketTable
from vidshift.data.media.player import Player

__all__ = ["Source", "VideoError", "VideoInfo", "decode", "frames", "probe"]

# Of the containers that say when a frame is shown, those that know where their keyframes
# are. In MPEG-TS a search lands anywhere.
INDEXED_FORMATS = frozenset({"mp4", "matroska"})

# Codecs whose every packet is shown, so that one without a frame was lost in silence.
SHOWN_CODECS = frozenset({"h264", "hevc"})

# Of the times that `frames` gives.
MICROSECOND = Fraction(1, 1_000_000)


@dataclasses.dataclass(frozen=True, slots=True)
class VideoInfo:
    num_frames: int
    # Mean frames a second, from the frames' times; 0 if they are not known.
    fps: float
    # Pixels as they are stored, after rotation.
    height: int
    width: int
    # Width of a pixel over its height, after rotation.
    pixel_aspect: float = 1.0


def probe(source: Source, *, name: str | None = None) -> VideoInfo:
    """Counts the frames of a video and decodes the first one for its size.

    The packets are counted where the headers prove that each is a frame, else all frames
    are decoded. Where the container states more than there are, the file was cut short and
    the stated count is given, so that asking for a lost frame fails instead of moving the
    others in time.

    Args:
      source: path, or bytes of the file.
      name: what to call the video in errors; its path by default.

    Raises:
      VideoError: no such file, empty, not a video, no video stream, or damaged.
    """
    index = index_of(source, name)
    if index.error is not None:
        raise index.error
    with open_stream(source, name) as (stream, label):
        packets = container.packets(stream)
        decoded = container.decoded(
            stream, packets, label, begins_whole=index.begins_whole
        )
        first = next(decoded, None)
        if first is None:
            raise VideoError(f"{label}: no frame can be decoded")
        player = Player()
        player.see(first)
        height, width = player.size(first)
        player.show(first)  # whether it can be
    return VideoInfo(
        index.num_frames + index.lost,
        index.fps,
        height,
        width,
        float(player.aspect(index.pixel_aspect)),
    )


def frames(
    source: Source,
    *,
    start: float | None = None,
    end: float | None = None,
    name: str | None = None,
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Decodes a video from beginning to end, holding one frame at a time.

    Args:
      source, name: as in `decode`.
      start: seconds from the video's first frame; frames before are left out.
      end: frames from here on are left out.

    Yields:
      The frames in the order they are shown, as they are stored (`Player` turns them),
      each with the video's mean frames a second (0 if it is not known). A frame's `time`
      is in seconds from the video's first.

    Raises:
      VideoError: as `probe`; a frame is damaged; the file was cut short; or there is no
        frame between start and end. It comes after the frames before the damage.
    """
    index = index_of(source, name)
    first, last = 0, None
    if start or end is not None:
        label = container.label_of(source, name)
        first, last = _part(index, start or 0.0, end, label)
    if first and index.proof is not None:
        with contextlib.suppress(_TooLate):
            yield from _from(source, name, index, first, last, seek=True)
            return
    yield from _from(source, name, index, first, last, seek=False)


class _TooLate(Exception):
    """Seeking led behind the frame that was sought, or failed."""


def _part(
    index: FrameIndex, start: float, end: float | None, label: str
) -> tuple[int, int | None]:
    """Returns a part's first frame and the one after its last; None: the file's end."""
    if index.times is None:
        raise VideoError(f"{label}: cannot be cut, it does not say its frame rate")
    first, last = index.between(start, end)
    if last >= index.num_frames and (index.cut_short or index.error):
        return first, None  # where the damage is met
    if first >= last:
        until = "on" if end is None else f"to {end} s"
        raise VideoError(f"{label}: no frame from {start} s {until}")
    return first, last if last < index.num_frames else None


def _from(
    source: Source,
    name: str | None,
    index: FrameIndex,
    first: int,
    last: int | None,
    *,
    seek: bool,
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yields as `frames`; may raise _TooLate before the first if `seek`."""
    with open_stream(source, name) as (stream, label):
        if seek:
            packets = _sought(stream, index.proof, first, label)
        else:
            packets = container.packets(stream, label)
        ledger, yielded = _Ledger(stream, in_order=index.in_order), False
        pts = None
        decoded = container.decoded(
            stream,
            ledger.read(packets),
            label,
            begins_whole=index.begins_whole,
            out=ledger.out,
        )
        for count, frame in enumerate(decoded):
            pts = frame.pts
            number = index.proof.number(pts) if seek else count
            if seek and count == 0 and number > first:
                raise _TooLate
            if last is not None and number >= last:
                break
            if number < first:
                continue
            yielded = True
            yield _timed(frame, index, number), index.fps
            if number + 1 == last:
                break
        else:
            ledger.ended = True
            if index.cut_short:
                raise VideoError(f"{label}: {index.cut_short}")
        if (lost := ledger.lost(pts)) is not None:
            tick = float(stream.time_base)
            begin = stream.start_time or 0
            raise VideoError(f"{label}: damaged at {(lost - begin) * tick:.2f} s")
        if not yielded:
            raise VideoError(f"{label}: no frame can be decoded")


def _sought(
    stream: av.VideoStream, proof: Proof, first: int, label: str
) -> Iterator[av.Packet]:
    """Packets from the last one on that nothing before the wanted frame refers behind."""
    place = bisect.bisect_right(proof.firsts, first) - 1
    if place < 1 or not is_of(stream, INDEXED_FORMATS):
        raise _TooLate
    try:
        stream.container.seek(proof.seek_to[place], stream=stream)
    except (av.FFmpegError, OverflowError) as error:
        raise _TooLate from error
    packets = container.packets(stream, label)
    head = next(packets, None)
    if head is None or head.pts is None or head.pts > proof.begins[place]:
        raise _TooLate
    if proof.begins[bisect.bisect_left(proof.begins, head.pts)] != head.pts:
        raise _TooLate
    return itertools.chain([head], packets)


def _timed(frame: av.VideoFrame, index: FrameIndex, number: int) -> av.VideoFrame:
    """Gives a frame the time that the index knows, which may not be the file's."""
    if index.times is not None and number < len(index.times):
        frame.time_base = MICROSECOND
        frame.pts = round(index.times[number] / MICROSECOND)
    return frame


def decode(
    source: Source,
    indices: Iterable[SupportsIndex],
    *,
    name: str | None = None,
    pixel_aspect: str = "ignore",
    data_set: str | None = None,
) -> UInt8[np.ndarray, "N H W 3"]:
    """Decodes some frames, the same bits that decoding the whole video gives.

    H.264 is decoded from the keyframe before each wanted frame only and without the
    pictures that no other needs (`h264.needed_packets`), where its headers prove which
    packet is which frame; else from the start to the last wanted frame. One thread: more
    cost CPU time, and a loader has many videos to spread over its own.

    Args:
      source: path, or bytes of the file.
      indices: frame numbers, in any order, repeats allowed, at least one.
      name: what to call the video in errors; its path by default.
      pixel_aspect: one of `pixel_aspect.PIXEL_ASPECTS`.
      data_set: what is warned of once where pixels are not square and that is ignored;
        the video by default.

    Returns:
      RGB frames in the order of `indices`, turned upright.

    Raises:
      ValueError: `indices` is empty or holds a negative number; no such pixel_aspect.
      VideoError: as `probe`, or a wanted frame is not there or damaged, or a frame it
        is predicted from is.
    """
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"indices must be frame numbers >= 0, got {indices}")
    wanted = set(indices)
    with open_stream(source, name) as (stream, label):
        stretch = aspects.stretch(
            container.pixel_aspect(stream),
            pixel_aspect,
            of=data_set or label,
            label=label,
        )
        packets = [packet for packet in container.packets(stream) if packet.size]
        frames = _selected(stream, packets, wanted, label)
        if frames is None:
            frames = enumerate(container.decoded(stream, packets, label))
        player = Player(stretch)
        pictures: dict[int, np.ndarray] = {}
        for index, frame in frames:
            player.see(frame)
            if index in wanted:
                pictures[index] = player.show(frame)
                if len(pictures) == len(wanted):
                    break
    if lost := wanted - pictures.keys():
        index = index_of(source, name)
        raise index.error or VideoError(
            f"{label}: frame {min(lost)} cannot be decoded (it should have "
            f"{index.num_frames + index.lost})"
        )
    if len({frame.shape for frame in pictures.values()}) > 1:
        raise VideoError(f"{label}: the frame size changes within the video")
    return np.stack([pictures[index] for index in indices])


def _selected(
    stream: av.VideoStream, packets: list[av.Packet], wanted: set[int], label: str
) -> Iterator[tuple[int, av.VideoFrame]] | None:
    """Decodes what the wanted frames need; None where packets are not proven frames."""
    table = PacketTable(stream)
    for packet in packets:
        if not table.may_prove:
            return None
        table.add(packet)
    shown = table.shown_pts()
    if shown is None:
        return None
    # Packets that an edit list hides are decoded but never shown.
    index_of_pts = {pts: index for index, pts in enumerate(shown)}
    positions = {
        place
        for place, pts in enumerate(table.pts)
        if not table.hidden[place] and index_of_pts[pts] in wanted
    }
    runs = table.needed(positions)
    if runs is None:
        return None
    return (
        # One that is not shown has no number.
        (index_of_pts.get(frame.pts, -1), frame)
        for run in runs
        for frame in container.decoded(
            stream, [packets[p] for p in run], label, begins_whole=True
        )
    )


class _Ledger:
    """Compares what enters and leaves a decoder, to notice a frame lost in silence."""

    def __init__(self, stream: av.VideoStream, *, in_order: bool):
        self._context, self._in_order = stream.codec_context, in_order
        codec = self._context.name
        self._may_tell = is_of(stream, TIMED_FORMATS) and codec in SHOWN_CODECS
        self._reader = None
        if self._may_tell and codec == "h264":
            self._reader = h264.Reader(stream.codec_context.extradata)
        # When each packet and each frame is shown, and what a packet says of its picture.
        self._due: list[int | None] = []
        self._headers: list[h264.Header | None] = []
        self._are_idr: list[bool] = []
        self.out: list[int | None] = []
        self._read_all = self.ended = False

    def read(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        for packet in packets:
            if self._may_tell and packet.size and not packet.is_discard:
                self._due.append(packet.pts)
                self._see(packet)
            yield packet
        self._read_all = True  # The decoder is drained next.

    def _see(self, packet: av.Packet) -> None:
        header, is_idr, reader = None, False, self._reader
        if reader is None:
            if not self._in_order:
                length_size = hevc.length_size(self._context.extradata)
                is_idr = hevc.is_idr(bytes(packet), length_size)
        elif not (
            self._in_order and reader.parameters and not reader.parameters.may_be_fields
        ):
            picture = reader.picture(packet)
            header = picture and reader.header(picture)
            is_idr = picture is not None and picture.is_idr
        self._headers.append(header)
        self._are_idr.append(is_idr)

    def lost(self, last: int | None) -> int | None:
        """Returns the first time without a frame, before the last wanted one or the end.

        Args:
          last: when the last wanted frame is shown, by the file; not used at the end.
        """
        if not self._may_tell or not self.out:
            return None
        if self._reader is not None and self._reader.parameters is None:
            return None  # which pictures are fields is not known
        if not self._read_all:
            # Those that wait for their turn are not lost.
            self.out += [frame.pts for frame in self._context.decode(None)]
        seconds = h264.second_fields(self._headers)
        firsts = [place for place, is_second in enumerate(seconds) if not is_second]
        times = [self._due[place] for place in firsts]
        due, shown = set(times), set(self.out)
        if None in due | shown or len(due) != len(times):
            return None
        if not self._in_order:
            are_idr = [self._are_idr[place] for place in firsts]
            return self._lost_of_all(times, shown, are_idr)
        first, last = self.out[0], np.inf if self.ended else last
        # What comes before a stream's first keyframe cannot be decoded.
        within = {time for time in due if first < time < last}
        return min(within - shown, default=None)

    def _lost_of_all(
        self, times: list[int], shown: set[int], are_idr: list[bool]
    ) -> int | None:
        """Returns the time of the first packet without a frame, in decoding order.

        Where times do not tell which frame comes first, one that is lost may be before any.
        """
        places = [place for place, time in enumerate(times) if time in shown]
        if not places:
            return None
        begin = places[0]
        if not are_idr[begin]:
            # What is shown before the keyframe and decoded after it has no frame either.
            begin = places[1] if len(places) > 1 else len(times)
        # The last one read may be half a frame.
        stop = len(times) if self._read_all else len(times) - 1
        return next((time for time in times[begin:stop] if time not in shown), None)
