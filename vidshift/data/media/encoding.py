"""Frames to a video file in memory; the same frames give the same bytes."""

import functools
import io
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from vidshift.data.media.video import VideoError

# Frames a second of a file whose source does not say: a file has to have some.
UNKNOWN_FPS = 25.0
# What a record can hold, with room to spare: a protocol buffer ends at 2 GiB.
MOST_BYTES = 2**30
# Of a JPEG's sides, libjpeg's limit in pixels.
MOST_JPEG_SIDE = 65500
# Width of a pixel over its height.
SQUARE = Fraction(1)
# Of both numbers of such a ratio, which are written in 16 bits.
MOST_DENSITY = 4096


def encode(
    frames: np.ndarray | Iterable[np.ndarray],
    *,
    fps: float = 25.0,
    gop: int = 4,
    crf: float | None = 18.0,
    qp: int | None = None,
    preset: str = "veryfast",
    tune: str | None = "fastdecode",
    pixel_aspect: Fraction = SQUARE,
) -> bytes:
    """Encodes RGB frames as H.264 in mp4, without B-frames.

    Args:
      frames: uint8 [T, H, W, 3], or [H, W, 3] one after another; height and width even
        (4:2:0 colour halves both).
      fps: frames a second.
      gop: frames from one keyframe to the next. 1 makes every frame a keyframe.
      crf: constant quality, lower is better; not with `qp`.
      qp: the same quantiser in every block of every frame, so that a frame's bits
        depend on no other frame when `gop` is 1.
      preset: x264's.
      tune: x264's. `fastdecode` (no CABAC, no deblocking) costs 1 ms to set up, which
        very small clips do not win back.
      pixel_aspect: width of a pixel over its height, which the file states.

    Raises:
      ValueError: wrong type or shape, odd sides, no frames, or both `crf` and `qp`.
      VideoError: the file is beyond MOST_BYTES, or the encoder refuses the frames.
    """
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
    shape, frames = _first_shape(frames)
    if shape[0] % 2 or shape[1] % 2:
        raise ValueError(f"frames must have even sides, got {shape}")

    def packets(stream: av.VideoStream) -> Iterator[av.Packet]:
        # One conversion context for all frames; its threads cost more than they save.
        reformatter = VideoReformatter()
        for rgb in frames:
            _check_frame(rgb, shape)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = reformatter.reformat(frame, format="yuv420p", threads=1)
            yield from stream.encode(frame)
        yield from stream.encode()

    return _file("libx264", "yuv420p", shape, fps, packets, options, pixel_aspect)


# Makes every frame a keyframe of one quantiser, so that the codec knows no direction of
# time: a frame's bits depend on no other, and a clip encoded backwards decodes to the
# clip's frames backwards, bit for bit.
encode_keyframes = functools.partial(
    encode, gop=1, crf=None, qp=20, preset="superfast", tune=None
)


def encode_jpeg(
    frames: Iterable[np.ndarray],
    *,
    fps: float = UNKNOWN_FPS,
    quality: int = 90,
    pixel_aspect: Fraction = SQUARE,
) -> bytes:
    """Encodes RGB frames as JPEGs in mp4, each to be decoded without the others.

    Args:
      frames: uint8 [H, W, 3] one after another, of any size.
      fps: frames a second.
      quality: libjpeg's, 1 to 95.
      pixel_aspect: width of a pixel over its height, which each JPEG states.

    Raises:
      ValueError: wrong type or shape, or no frames.
      VideoError: the file is beyond MOST_BYTES, or a side beyond MOST_JPEG_SIDE.
    """
    shape, frames = _first_shape(frames)
    if max(shape) > MOST_JPEG_SIDE:
        raise VideoError(f"too large for a JPEG: {shape[1]} x {shape[0]} pixels")

    # Decoders take the ratio of JFIF's densities for it.
    density = pixel_aspect.limit_denominator(MOST_DENSITY)
    stated = {} if density == 1 else {"dpi": density.as_integer_ratio()}

    def files() -> Iterator[bytes]:
        for rgb in frames:
            _check_frame(rgb, shape)
            file = io.BytesIO()
            Image.fromarray(rgb).save(file, "JPEG", quality=quality, **stated)
            yield file.getvalue()

    return join_jpegs(files(), height=shape[0], width=shape[1], fps=fps)


def join_jpegs(
    files: Iterable[bytes], *, height: int, width: int, fps: float = UNKNOWN_FPS
) -> bytes:
    """Puts JPEG files, all of one size, into an mp4 as they are.

    Raises:
      VideoError: the file is beyond MOST_BYTES.
    """

    def packets(stream: av.VideoStream) -> Iterator[av.Packet]:
        for index, data in enumerate(files):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, 1 / stream.codec_context.rate
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, True
            yield packet

    return _file("mjpeg", "yuvj420p", (height, width, 3), fps, packets, {})


def split_jpegs(video: bytes) -> list[bytes]:
    """The JPEG files of an mp4 that `join_jpegs` made, in order."""
    with av.open(io.BytesIO(video)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def _first_shape(
    frames: Iterable[np.ndarray],
) -> tuple[tuple[int, ...], Iterable[np.ndarray]]:
    """The first frame's shape, and the frames, that one among them."""
    if isinstance(frames, np.ndarray) and frames.ndim != 4:
        raise ValueError(f"frames must be uint8 [T, H, W, 3], got {frames.shape}")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("frames must be at least one, got none")
    _check_frame(first, np.shape(first))

    def all_frames() -> Iterator[np.ndarray]:
        yield first
        yield from frames

    return first.shape, all_frames()


def _check_frame(rgb: np.ndarray, shape: tuple[int, ...]) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3 or not rgb.size:
        raise ValueError(f"frames must be uint8 [H, W, 3], got {rgb.dtype} {rgb.shape}")
    if rgb.shape != shape:
        raise ValueError(f"frames must have one size, got {shape} and {rgb.shape}")


def _file(
    codec: str,
    pixels: str,
    shape: tuple[int, ...],
    fps: float,
    packets,
    options: Mapping[str, str],
    pixel_aspect: Fraction = SQUARE,
) -> bytes:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4") as container:
            rate = Fraction(fps).limit_denominator(1001)
            stream = container.add_stream(codec, rate=rate, options=dict(options))
            stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], pixels
            stream.codec_context.thread_count = 1
            if pixel_aspect != 1:
                # What H.264 can state.
                stated = pixel_aspect.limit_denominator(MOST_DENSITY)
                stream.codec_context.sample_aspect_ratio = stated
            for packet in packets(stream):
                container.mux(packet)
                _check_size(file.tell())
    except av.FFmpegError as error:
        raise VideoError(
            f"{shape[1]} x {shape[0]} pixels cannot be encoded ({error.strerror})"
        ) from error
    _check_size(file.tell())
    return file.getvalue()


def _check_size(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise VideoError(
            f"too long for a record: over {MOST_BYTES:,} bytes encoded; cut it into clips "
            "(start and end)"
        )
