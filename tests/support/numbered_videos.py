"""Small videos whose frames say their number, whatever a codec or a scaling does to them.

A picture is a grid of black and white cells: the corners tell which side is up, the cells
between are the number's bits.
"""

import io
import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av
import numpy as np

ROWS, COLUMNS = 3, 4
# White in the first corner and black in the other three.
CORNERS = {(0, 0): 1, (0, 3): 0, (2, 0): 0, (2, 3): 0}
BITS = [
    cell
    for cell in itertools.product(range(ROWS), range(COLUMNS))
    if cell not in CORNERS
]
NUMBERS = 2 ** len(BITS)
# Height and width of a codec's pictures: x265 writes beyond its memory where a side is
# below 64, SVT-AV1 takes none.
SIZES = {"libx265": (72, 96), "libsvtav1": (72, 96)}


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 [height, width, 3] that shows a number below NUMBERS."""
    cells = np.zeros((ROWS, COLUMNS), np.uint8)
    for cell, value in CORNERS.items():
        cells[cell] = value
    for bit, cell in enumerate(BITS):
        cells[cell] = number >> bit & 1
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    grey = 40 + 180 * cells[rows][:, columns]
    return np.repeat(grey[..., None].astype(np.uint8), 3, axis=-1)


def number(shown: np.ndarray) -> int:
    """The number that a picture shows; it must be the right way up."""
    height, width = shown.shape[:2]
    found = np.zeros((ROWS, COLUMNS), int)
    for row, column in itertools.product(range(ROWS), range(COLUMNS)):
        top, left = height * row // ROWS, width * column // COLUMNS
        inner = shown[
            top + height // 12 : top + height // 4,
            left + width // 16 : left + width // 6,
        ]
        found[row, column] = inner.mean() > 130
    for cell, value in CORNERS.items():
        assert found[cell] == value, f"turned or no picture:\n{found}"
    return sum(int(found[cell]) << bit for bit, cell in enumerate(BITS))


def numbers(pictures: Iterable[np.ndarray]) -> list[int]:
    return [number(shown) for shown in pictures]


def encoded(
    codec: str,
    container: str,
    pictures: int | Iterable[np.ndarray],
    *,
    pixels: str = "yuv420p",
    fps: float = 25,
    times: Sequence[int] | None = None,
    colours: str | None = None,
    title: str = "",
    aspect: Fraction | None = None,
    **options: str,
) -> bytes:
    """A video file.

    Args:
      codec: FFmpeg's name of the encoder.
      container: FFmpeg's name of the muxer.
      pictures: uint8 [H, W, 3] of one size; or how many, numbered from 0.
      pixels: FFmpeg's name of how a pixel is stored.
      times: when each is shown, in milliseconds; regularly by default.
      colours: PyAV's name of what turns RGB into YUV; FFmpeg's own choice by default.
      title: in the file's metadata.
      aspect: width of a pixel over its height.
      options: of the encoder.
    """
    if isinstance(pictures, int):
        size = SIZES.get(codec, (48, 64))
        pictures = [picture(number % NUMBERS, *size) for number in range(pictures)]
    pictures = iter(pictures)
    first = next(pictures)
    known = {"ITU601": "smpte170m", "ITU709": "bt709"}
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        if title:
            out.metadata["title"] = title
        rate = Fraction(fps).limit_denominator(1001)
        if colours:
            options["colorspace"] = known[colours]
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], pixels
        stream.codec_context.thread_count = 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(itertools.chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = frame.reformat(format=pixels, dst_colorspace=colours)
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def with_matrix(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An mp4 whose display matrix says that x is shown as (a, b), and y as (c, d)."""
    changed = bytearray(data)
    # 16.16 fixed point, 40 bytes into the track header (version 0).
    at = changed.find(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), (a, b, c, d), strict=True):
        entry = (value << 16).to_bytes(4, "big", signed=True)
        changed[at + place : at + place + 4] = entry
    return bytes(changed)


def trimmed(data: bytes, skip: int, frames: int, fps: int = 25) -> bytes:
    """An mp4 whose edit list shows so many frames from one on, and no other."""
    changed = bytearray(data)
    # One edit: its duration in the file's clock, 1,000 a second, and its beginning in the
    # track's, which a B-frame's delay comes before.
    at = changed.find(b"elst") + 12
    header = changed.find(b"mdhd") + 16
    ticks = int.from_bytes(changed[header : header + 4], "big")
    begin = int.from_bytes(changed[at + 4 : at + 8], "big") + skip * ticks // fps
    changed[at : at + 4] = (frames * 1000 // fps).to_bytes(4, "big")
    changed[at + 4 : at + 8] = begin.to_bytes(4, "big")
    return bytes(changed)


def audio(container="wav", codec="pcm_s16le") -> bytes:
    """A file of sound alone."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()
