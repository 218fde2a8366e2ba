"""Frames that follow each other as the channels of one."""

from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import UInt8

from vidshift.data.media import video


def decode(
    source: Any,
    indices: Iterable[SupportsIndex],
    *,
    stack: int,
    name: str | None = None,
    decode: Callable = video.decode,
    **options: str,
) -> UInt8[np.ndarray, "N H W C"]:
    """Decodes `stack` frames from each index on, as `video.decode`.

    Args:
      source, name: as in `video.decode`.
      indices: numbers of the first frames.
      stack: frames that follow each other.
      decode: of single frames, `(source, indices, name=, **options) -> [N, H, W, c]`.

    Returns:
      Channels [0, c) are of the first frame, [c, 2 c) of the next.

    Raises:
      VideoError: as `video.decode`.
    """
    wanted = np.asarray([int(index) for index in indices])[:, None] + np.arange(stack)
    needed, places = np.unique(wanted, return_inverse=True)
    frames = decode(source, needed, name=name, **options)[places.reshape(wanted.shape)]
    # [N, stack, H, W, c] -> [N, H, W, stack * c]
    frames = np.moveaxis(frames, 1, 3)
    return np.ascontiguousarray(frames).reshape(*frames.shape[:3], -1)
