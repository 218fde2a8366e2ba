"""Clips whose frames are records of their own, so that only the wanted ones are read."""

import dataclasses
import io
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from vidshift.data.media import encoding, video
from vidshift.data.media.video import VideoError


@dataclasses.dataclass(frozen=True, slots=True)
class FrameRows:
    """A clip's JPEGs: `count` rows from `first` on."""

    # Decoded records by row (`tfds_rows.TfdsRows`).
    rows: Any
    first: int
    count: int


def decode(
    source: FrameRows,
    indices: Iterable[SupportsIndex],
    *,
    name: str | None = None,
    **options: str | None,
) -> UInt8[np.ndarray, "N H W 3"]:
    """Decodes some frames of a clip, as `video.decode`, with its options, those of a file.

    Raises:
      ValueError: `indices` is empty or holds a negative number.
      VideoError: a wanted frame is not there, cannot be read or is damaged.
    """
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"indices must be frame numbers >= 0, got {indices}")
    wanted, places = np.unique(indices, return_inverse=True)
    label = name or "<frames>"
    wanted = wanted.tolist()
    for index in wanted:
        if index >= source.count:
            raise VideoError(
                f"{label}: frame {index} is not there (it should have {source.count})"
            )
    try:
        files = [source.rows[source.first + index]["video"] for index in wanted]
        # Its header alone is read.
        with Image.open(io.BytesIO(files[0])) as picture:
            width, height = picture.size
    except (VideoError, UnidentifiedImageError) as error:
        raise VideoError(f"{label}: {error}") from error
    # The decoder of all other videos sees a short one.
    short = encoding.join_jpegs(files, height=height, width=width)
    return video.decode(short, places, name=label, **options)
