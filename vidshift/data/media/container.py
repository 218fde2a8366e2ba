"""Opens a video file by PyAV and chooses its video stream; every error is a VideoError."""

import contextlib
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av

from vidshift.data.media import matroska, riff

Source = str | os.PathLike | bytes

# All but the texts that name other files, which a record would lack, or addresses, for
# which FFmpeg waits.
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sap", "sdp"})
FORMATS = ",".join(sorted(av.formats_available - PLAYLISTS))

# Beyond it, the width of a pixel over its height is an error of the file's.
MOST_ASPECT = 8
# Packets that are read, of all streams, to tell a still from a video.
PACKETS_TO_COMPARE = 256


class VideoError(ValueError):
    """A video that cannot be read: one line that names it and says why."""


@contextlib.contextmanager
def open_stream(
    source: Source, name: str | None = None
) -> Iterator[tuple[av.VideoStream, str]]:
    """Opens a file and yields its video stream, and what to call it in errors.

    Of several streams the first of these decides: it moves, it is marked as the default,
    it has more pixels, it comes first. Covers (attached pictures) do not count.

    Args:
      source: path, or bytes of the file.
      name: what to call the video in errors; its path by default.

    Raises:
      VideoError: no such file, empty, not a video, no video stream, no decoder, or
        FFmpeg raises an error meanwhile.
    """
    label = label_of(source, name)
    container = _open(source, label)
    with container:
        streams = [
            stream
            for stream in container.streams.video
            # A picture of the record's cover is a video stream of one frame to FFmpeg.
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not streams:
            raise VideoError(f"{label}: no video stream")
        known = [stream for stream in streams if stream.codec_context is not None]
        if not known:
            raise VideoError(f"{label}: no decoder for this codec")
        stream = known[0] if len(known) == 1 else _best(source, label, known)
        context = stream.codec_context
        context.thread_type, context.thread_count = "NONE", 1
        try:
            yield stream, label
        except av.FFmpegError as error:
            raise VideoError(f"{label}: damaged ({error.strerror})") from error


def label_of(source: Source, name: str | None) -> str:
    """Returns the name of a video in errors."""
    if name:
        return name
    return "<bytes>" if isinstance(source, bytes) else os.fspath(source)


def _open(source: Source, label: str):
    if isinstance(source, bytes):
        empty, file = not source, io.BytesIO(source)
    else:
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
        return av.open(
            file,
            # A title may be in any encoding.
            metadata_errors="replace",
            options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
        )
    except av.FFmpegError as error:
        raise VideoError(
            f"{label}: not a video, or cut short ({error.strerror})"
        ) from error


def _best(
    source: Source, label: str, streams: Sequence[av.VideoStream]
) -> av.VideoStream:
    stills = _stills(source, label, streams)

    def rank(stream: av.VideoStream) -> tuple:
        marks, context = stream.disposition, stream.codec_context
        return (
            stream.index not in stills,
            not marks & (marks.still_image | marks.timed_thumbnails),
            bool(marks & marks.default),
            context.width * context.height,
            -stream.index,
        )

    return max(streams, key=rank)


def _stills(
    source: Source, label: str, streams: Sequence[av.VideoStream]
) -> frozenset[int]:
    """Numbers of the streams that have one frame."""
    if all(stream.frames for stream in streams):
        return frozenset(stream.index for stream in streams if stream.frames == 1)
    # Many containers do not say how many frames there are.
    counts = {stream.index: 0 for stream in streams}
    with _open(source, label) as container, contextlib.suppress(av.FFmpegError):
        for packet in itertools.islice(container.demux(), PACKETS_TO_COMPARE):
            if packet.size and packet.stream_index in counts:
                counts[packet.stream_index] += 1
    return frozenset(index for index, count in counts.items() if count == 1)


def packets(stream: av.VideoStream, label: str | None = None) -> Iterator[av.Packet]:
    """Yields the whole packets of a stream, up to where the file is cut short.

    Some containers state a moment without a picture by a packet of size 0, which is
    yielded too; `decoded` passes over it.

    With a label, a file that is seen to be cut short is a VideoError.
    """
    held: list[av.Packet] = []
    # The demuxer marks the end by an empty packet, and some files end in an error.
    try:
        for packet in stream.container.demux(stream):
            if not packet.size and packet.dts is None and packet.pts is None:
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


def decoded(
    stream: av.VideoStream,
    packets: Iterable[av.Packet],
    label: str,
    *,
    begins_whole: bool = False,
    out: list[int | None] | None = None,
) -> Iterator[av.VideoFrame]:
    """Decodes packets from a fresh decoder to its last frame; damage is an error.

    What comes before the first keyframe of a recording that begins between two is no
    damage: a decoder passes over it.

    Args:
      stream: of the decoder.
      packets: in decoding order.
      label: what to call the video in errors.
      begins_whole: the first packet is known to be a keyframe, whatever the file says.
      out: gets the time of each frame that leaves the decoder, before it is yielded.
    """
    context = stream.codec_context
    began = False
    # Whether a decoder may still miss what the first packets refer to.
    is_early = False if begins_whole else None
    try:
        for packet in itertools.chain(packets, (None,)):
            if packet is not None and not packet.size:
                continue  # To a decoder it would be the end.
            if packet is not None and is_early is not False:
                is_early = not packet.is_keyframe
            try:
                frames = context.decode(packet)
            except av.FFmpegError:
                if is_early and not began:
                    continue
                raise
            if out is not None:
                out += [frame.pts for frame in frames]
            for frame in frames:
                if frame.is_corrupt:
                    when = "" if frame.time is None else f" at {frame.time:.2f} s"
                    raise VideoError(f"{label}: damaged{when}")
                began = True
                yield frame
        context.flush_buffers()
    except av.FFmpegError as error:
        raise VideoError(f"{label}: damaged ({error.strerror})") from error


def is_of(stream: av.VideoStream, formats: frozenset[str]) -> bool:
    """Returns whether a stream's container has one of some of FFmpeg's names."""
    return not formats.isdisjoint(stream.container.format.name.split(","))


def missing_bytes(stream: av.VideoStream, source: Source) -> int | None:
    """Returns how many bytes a file lacks; None if its head does not state its size."""
    for name, head in (("matroska", matroska), ("avi", riff)):
        if is_of(stream, frozenset({name})):
            with (
                io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
            ) as file:
                return head.missing_bytes(file, file.seek(0, os.SEEK_END))
    return None


def pixel_aspect(stream: av.VideoStream) -> Fraction:
    """Returns the width of a pixel over its height, as the file is stored.

    1 if the file does not say, or says what no camera makes.
    """
    aspect = stream.sample_aspect_ratio
    if not aspect or not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT:
        return Fraction(1)
    return Fraction(aspect)
