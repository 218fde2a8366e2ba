"""Images as clips of one frame: what a 2-D network is trained on before it sees video."""

import io
import os
import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import SupportsIndex

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from vidshift.data.media.video import Source, VideoError

# Pillow's names of what is read; some of its other readers start programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# Of files that a folder's listing takes for images.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")

# Turn that brings a picture upright, by its EXIF's orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})


def decode(
    source: Source,
    indices: Iterable[SupportsIndex],
    *,
    name: str | None = None,
    pixel_aspect: str = "ignore",
) -> UInt8[np.ndarray, "N H W 3"]:
    """Decodes an image, the first of several, upright and in RGB without transparency.

    Takes the place of `video.decode` for a data set of images (`Split.decode`).

    Args:
      source, name: as in `video.decode`.
      indices: frame numbers, each 0: an image has one frame.
      pixel_aspect: without effect, as an image's pixels are square.

    Returns:
      The image, as often as it is asked for.

    Raises:
      ValueError: `indices` is empty or holds another number than 0.
      VideoError: the image is missing, empty, damaged, too large or none.
    """
    indices = [int(index) for index in indices]
    if not indices or any(indices):
        raise ValueError(f"indices must be 0, an image's only frame, got {indices}")
    label = name or ("<bytes>" if isinstance(source, bytes) else os.fspath(source))
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=FORMATS) as image:
            # Pillow raises at twice its limit and before that only warns, which threads
            # cannot turn into an error.
            most = Image.MAX_IMAGE_PIXELS
            if most is not None and image.width * image.height > most:
                raise Image.DecompressionBombError(
                    f"{image.width} x {image.height} pixels, more than {most}"
                )
            pixels = np.asarray(_rgb(_upright(image)))
    except UnidentifiedImageError as error:
        raise VideoError(
            f"{label}: no readable image (none of {', '.join(FORMATS)})"
        ) from error
    # Pillow's decoders raise what they meet: SyntaxError, struct.error, EOFError, ...
    except Exception as error:
        raise VideoError(
            f"{label}: no readable image ({type(error).__name__}: {error})"
        ) from error
    return np.repeat(pixels[None], len(indices), axis=0)


def pixel_aspect(path: str | os.PathLike) -> Fraction:
    """Returns the upright width of a pixel over its height, 1 but for some JPEGs.

    So FFmpeg writes the frames of a video whose pixels are not square.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.info.get("jfif_density", (1, 1))
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001, `decode` says what is wrong with it
        return Fraction(1)
    if min(width, height) < 1:
        return Fraction(1)
    is_sideways = orientation in SIDEWAYS
    return Fraction(height, width) if is_sideways else Fraction(width, height)


def _upright(image: Image.Image) -> Image.Image:
    """Turns an image as its EXIF says, if the EXIF is not damaged.

    `ImageOps.exif_transpose` fails on images whose other fields are damaged, since it
    writes them anew.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, struct.error):
        orientation = None
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    """Converts to RGB; scales 16 bits to 8, which `convert` would cut off at 255."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.float64) * (255 / 65535)
        image = Image.fromarray(np.clip(np.round(wide), 0, 255).astype(np.uint8))
    return image.convert("RGB")
