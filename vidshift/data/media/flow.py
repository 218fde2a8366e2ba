"""Optical flow as pictures: TV-L1 from each frame to the next, eight bits a direction.

As TSN and TSM store it (their `dense_flow`): displacements in pixels, cut at 20 to either
side, 0 at 128. A picture is `[2 H, W]` in grey, x above y, so that it is stored as any
frame is; a clip has one fewer than frames.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import UInt8

from vidshift.command_line import extras
from vidshift.data.media import stacks, video

# Displacement that is 255 (and minus it 0), pixels.
BOUND = 20.0


def check_installed() -> None:
    """Raises ValueError where OpenCV's TV-L1 is not there, saying what to install."""
    try:
        import cv2

        cv2.optflow.DualTVL1OpticalFlow_create  # noqa: B018
    except (ImportError, AttributeError):
        raise ValueError(
            f"flow needs OpenCV with its contributed modules: {extras.install('flow')}"
        ) from None


def pictures(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Computes the flow between frames that follow each other.

    Args:
      frames: RGB uint8 [H, W, 3], one after another.

    Yields:
      uint8 [2 H, W, 3], three equal channels: x above y.
    """
    import cv2

    cv2.setNumThreads(1)
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    before = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if before is not None:
            flow = tvl1.calc(before, grey, None)  # [H, W, 2]: x, y
            both = np.concatenate([flow[..., 0], flow[..., 1]])
            yield np.repeat(to_bytes(both)[..., None], 3, axis=-1)
        before = grey


def to_bytes(flow: np.ndarray) -> np.ndarray:
    """Displacements in pixels as uint8; 0 is 128."""
    scaled = np.round((flow + BOUND) * (255 / (2 * BOUND)))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def decode(
    source: Any,
    indices: Iterable[SupportsIndex],
    *,
    stack: int = 1,
    name: str | None = None,
    decode: Callable = video.decode,
    pixel_aspect: str = "ignore",
) -> UInt8[np.ndarray, "N H W C"]:
    """Decodes `stack` flow pictures from each index on: channels x, y, x, y, ...

    Args:
      source, indices, stack, name, decode: as of `stacks.decode`.
      pixel_aspect: "ignore": displacements are in pixels as they are stored.

    Raises:
      ValueError: another pixel_aspect.
      VideoError: as `video.decode`.
    """
    if pixel_aspect != "ignore":
        raise ValueError(
            f"pixel_aspect={pixel_aspect} is not for flow, whose displacements are in "
            "pixels as they are stored"
        )

    def displacements(source: Any, indices: np.ndarray, *, name: str | None):
        both = decode(source, indices, name=name)[..., 0]
        return np.stack(np.split(both, 2, axis=1), axis=-1)

    return stacks.decode(source, indices, stack=stack, name=name, decode=displacements)
