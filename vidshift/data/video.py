"""Videos to frames and back, by PyAV: count, decode only what is asked, encode.

Frames are numbered from 0 in the order they are shown. A video is a path or the
bytes of a file.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import SupportsIndex

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from vidshift.data import h264

Source = str | os.PathLike | bytes

# Containers that store when each frame is shown. For the others (AVI) FFmpeg guesses,
# wrongly where there are B-frames.
TIMED_FORMATS = frozenset({"mp4", "matroska", "mpegts"})


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
        packets = _packets(stream)
        shown = sum(not packet.is_discard for packet in packets)
        lost = max(0, stream.frames - len(packets))
        first = next((f for _, f in _in_order(stream, packets, label)), None)
        if first is None:
            raise VideoError(f"{label}: no frame can be decoded")
        height, width = _pixels(first, VideoReformatter()).shape[:2]
        rate = stream.average_rate or 0
        return VideoInfo(shown + lost, float(rate), height, width)


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
        packets = _packets(stream)
        total = max(stream.frames, len(packets))
        frames = _selected(stream, packets, wanted, label)
        if frames is None:
            frames = _in_order(stream, packets, label)
        reformatter = VideoReformatter()
        pixels: dict[int, np.ndarray] = {}
        for index, frame in frames:
            if index in wanted:
                pixels[index] = _pixels(frame, reformatter)
                if len(pixels) == len(wanted):
                    break
    if lost := wanted - pixels.keys():
        raise VideoError(
            f"{label}: frame {min(lost)} cannot be decoded (it should have {total})"
        )
    if len({frame.shape for frame in pixels.values()}) > 1:
        raise VideoError(f"{label}: the frame size changes within the video")
    return np.stack([pixels[index] for index in indices])


def encode(
    frames: np.ndarray,
    *,
    fps: float = 25.0,
    gop: int = 4,
    crf: float | None = 18.0,
    qp: int | None = None,
    preset: str = "veryfast",
    tune: str | None = "fastdecode",
) -> bytes:
    """Encodes RGB frames as H.264 in mp4, without B-frames; same input, same bytes.

    Args:
      frames: uint8 [T, H, W, 3], height and width even (4:2:0 colour halves both).
      fps: frames a second.
      gop: frames from one keyframe to the next. 1 makes every frame a keyframe.
      crf: constant quality, lower is better; not with `qp`.
      qp: the same quantiser in every block of every frame, so that a frame's bits
        depend on no other frame when `gop` is 1.
      preset: x264's.
      tune: x264's. `fastdecode` (no CABAC, no deblocking) costs 1 ms to set up, which
        very small clips do not win back.

    Raises:
      ValueError: wrong type or shape, odd sides, no frames, or both `crf` and `qp`.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be uint8 [T, H, W, 3], got {frames.dtype} {frames.shape}"
        )
    count, height, width, _ = frames.shape
    if count == 0 or height % 2 or width % 2 or not height or not width:
        raise ValueError(f"frames must be >= 1 with even sides, got {frames.shape}")
    if (crf is None) == (qp is None):
        raise ValueError(f"give either crf or qp, got crf={crf}, qp={qp}")
    options = {
        **({"qp": str(qp)} if crf is None else {"crf": str(crf)}),
        **({"tune": tune} if tune else {}),
        "preset": preset,
        "g": str(gop),
        "bf": "0",
        # Nothing that looks at other frames to choose this one's bits.
        "x264-params": "threads=1:scenecut=0:rc-lookahead=0:sync-lookahead=0"
        + (":aq-mode=0" if crf is None else ""),
    }
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options=options,
        )
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        # One conversion context for all frames; its threads cost more than they save.
        reformatter = VideoReformatter()
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = reformatter.reformat(frame, format="yuv420p", threads=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


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
        empty, file = os.path.getsize(source) == 0, os.fspath(source)
    if empty:
        raise VideoError(f"{label}: empty file")
    try:
        container = av.open(file)
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
        yield streams[0], label


def _packets(stream: av.VideoStream) -> list[av.Packet]:
    """Returns the whole packets of a stream, up to where the file is cut short."""
    packets = []
    # The demuxer marks the end by an empty packet, and some files end in an error.
    with contextlib.suppress(av.FFmpegError):
        for packet in stream.container.demux(stream):
            if packet.is_corrupt:
                break
            if packet.size:
                packets.append(packet)
    return packets


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
    timed = not TIMED_FORMATS.isdisjoint(stream.container.format.name.split(","))
    if not timed or stream.codec_context.name != "h264":
        return None
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) != len(times):
        return None
    # Packets that an edit list hides are decoded but never shown.
    shown = (packet.pts for packet in packets if not packet.is_discard)
    index_of = {pts: index for index, pts in enumerate(sorted(shown))}
    positions = {p for p, pts in enumerate(times) if index_of.get(pts) in wanted}
    runs = h264.needed_packets(
        [bytes(packet) for packet in packets],
        h264.length_size(stream.codec_context.extradata),
        positions,
    )
    if runs is None:
        return None
    return (
        (index_of[frame.pts], frame)
        for run in runs
        for frame in _decoded(stream, [packets[p] for p in run], label)
    )


def _decoded(
    stream: av.VideoStream, packets: list[av.Packet], label: str
) -> Iterator[av.VideoFrame]:
    """Decodes packets from a fresh decoder to its last frame; damage is an error."""
    context = stream.codec_context
    try:
        for packet in (*packets, None):
            for frame in context.decode(packet):
                if frame.is_corrupt:
                    raise VideoError(f"{label}: damaged at {frame.time:.2f} s")
                yield frame
        context.flush_buffers()
    except av.FFmpegError as error:
        raise VideoError(f"{label}: damaged ({error.strerror})") from error


def _pixels(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Returns one frame as upright uint8 [H, W, 3]."""
    rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    # Degrees counter-clockwise that a player turns the picture, as np.rot90 does.
    quarters = round(frame.rotation / 90) % 4
    return np.rot90(rgb, quarters) if quarters else rgb
