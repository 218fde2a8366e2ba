"""A network's look at fewer frames and fewer pixels of the clips it is given (A3D)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.kernels import Frames
from vidshift.layers.precision import wide, wide_dtype

# Which of T frames n are, by name; both keep the clip's span. A3D leaves it open. Its
# Figure 1 names frames that are and are not in a sub-network's input, which fits "stride"
# alone.
FRAME_RULES = {
    "stride": lambda T, n: np.arange(n) * T // n,
    "linspace": lambda T, n: np.arange(n) * (T - 1) // max(n - 1, 1),
}


class Resolution(NamedTuple):
    """Short side in pixels and number of frames; None is that of the clip."""

    side: int | None = None
    frames: int | None = None
    frame_rule: str = "stride"

    def lower(self, clips: jax.Array) -> jax.Array:
        """Clips `[B, T, H, W, C]` at this resolution: frames left out, then bilinear.

        Raises:
          ValueError: the clips have fewer frames or pixels than are asked for.
        """
        return self.lower_images(self._fewer(clips, 1), axes=(2, 3))

    def lower_images(self, images: jax.Array, *, axes: tuple[int, int]) -> jax.Array:
        """Images at this short side, bilinear; `axes` are height and width.

        Raises:
          ValueError: they have fewer pixels than are asked for.
        """
        if self.side is None:
            return images
        sides = [images.shape[axis] for axis in axes]
        short = min(sides)
        if self.side > short:
            raise ValueError(
                f"the network looks at side={self.side} pixels of a clip, but this has "
                f"{short}"
            )
        size = (round(n * self.side / short) for n in sides)
        return resize(images, *size, axes=axes)

    def taken(self, frames: int) -> np.ndarray:
        """Indices of those that the network looks at."""
        wanted = frames if self.frames is None else self.frames
        if wanted > frames:
            raise ValueError(
                f"the network looks at frames={wanted} frames, but there are {frames}"
            )
        return FRAME_RULES[self.frame_rule](frames, wanted)

    def _fewer(self, x: jax.Array, axis: int) -> jax.Array:
        taken = self.taken(x.shape[axis])
        return x if len(taken) == x.shape[axis] else jnp.take(x, taken, axis)

    def fit(self, x: Frames, like: Frames) -> Frames:
        """Features of more frames and places as those that lie beside them."""
        height, width, _, channels = x.data.shape
        by_time = x.data.reshape(height, width, x.parts, x.frames, -1, channels)
        by_time = self._fewer(by_time, 3)
        data = by_time.reshape(height, width, -1, channels)
        return like.like(resize(data, *like.data.shape[:2], axes=(0, 1)))


def resize(x: jax.Array, height: int, width: int, *, axes: tuple[int, int]):
    """Bilinear, corner to corner, without smoothing before.

    As MutualNet's training resizes its batches (PyTorch's `interpolate` with
    `align_corners`); `jax.image.resize` places its samples otherwise.
    """
    for axis, size in zip(axes, (height, width)):
        x = _interpolate(x, size, axis)
    return x


def _interpolate(x: jax.Array, size: int, axis: int) -> jax.Array:
    old = x.shape[axis]
    if size == old:
        return x
    place = np.arange(size) * ((old - 1) / max(size - 1, 1))
    first = np.clip(np.floor(place).astype(int), 0, max(old - 2, 0))
    second = np.minimum(first + 1, old - 1)
    weight = (place - first).astype(wide_dtype(x.dtype))
    weight = weight.reshape((1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1))
    left, right = (wide(jnp.take(x, i, axis)) for i in (first, second))
    return (left * (1 - weight) + right * weight).astype(x.dtype)
