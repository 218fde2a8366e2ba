"""Images as clips of one frame: what a 2-D network is trained on before it sees video."""

import io
import os
import warnings
from collections.abc import Iterable
from typing import SupportsIndex

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vidshift.data.video import Source, VideoError

# Of files that a folder's listing takes for images.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


def decode(
    source: Source, indices: Iterable[SupportsIndex], *, name: str | None = None
) -> UInt8[np.ndarray, "N H W 3"]:
    """Decodes an image, upright and in RGB; transparency is left out.

    Takes the place of `video.decode` for a data set of images (`Split.decode`).

    Args:
      source: path, or bytes of the file.
      indices: frame numbers, each 0: an image has one frame.
      name: what to call the image in errors; its path by default.

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
        with warnings.catch_warnings():
            # Pillow warns of an image that may be made to fill the memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                pixels = np.asarray(_rgb(ImageOps.exif_transpose(image)))
    # Pillow's decoders raise what they meet: SyntaxError, struct.error, EOFError, ...
    except Exception as error:
        raise VideoError(
            f"{label}: no readable image ({type(error).__name__}: {error})"
        ) from error
    return np.repeat(pixels[None], len(indices), axis=0)


def _rgb(image: Image.Image) -> Image.Image:
    """16 bits a pixel are scaled to 8, which `convert` would cut off at 255."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.float64) * (255 / 65535)
        image = Image.fromarray(np.clip(np.round(wide), 0, 255).astype(np.uint8))
    return image.convert("RGB")
