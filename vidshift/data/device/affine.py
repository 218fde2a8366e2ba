"""Changes of pixels' places: rotation, shear and translation, as Pillow makes them.

A change is six numbers a to f: the output at (x, y) is the input at
(a x + b y + c, d x + e y + f), where the middle of the first pixel is (0.5, 0.5).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vidshift.data.device.rgb_clip import Number, RgbClip

Matrix = Float[Array, "6"]

# Colour outside the frame: ImageNet's mean colour, as in GSF's official code; timm by
# itself takes a grey of 128.
FILL = (124, 116, 104)


def rotation(height: int, width: int, degrees: Number) -> Matrix:
    """Turns counterclockwise around the middle."""
    y, x = height / 2, width / 2
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    return jnp.stack(
        [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]
    )


def shear_x(height: int, width: int, factor: Number) -> Matrix:
    """Moves each row to the left, by `factor` more than the row above."""
    return jnp.array([1, 0, 0, 0, 1, 0], jnp.float32).at[1].set(factor)


def shear_y(height: int, width: int, factor: Number) -> Matrix:
    """Moves each column up, by `factor` more than the column before."""
    return jnp.array([1, 0, 0, 0, 1, 0], jnp.float32).at[3].set(factor)


def translation_x(height: int, width: int, share: Number) -> Matrix:
    """Moves all to the left, by a share of the width."""
    return jnp.array([1, 0, 0, 0, 1, 0], jnp.float32).at[2].set(share * width)


def translation_y(height: int, width: int, share: Number) -> Matrix:
    """Moves all up, by a share of the height."""
    return jnp.array([1, 0, 0, 0, 1, 0], jnp.float32).at[5].set(share * height)


def resample(x: RgbClip, matrix: Matrix) -> RgbClip:
    """Pillow's bilinear `Image.transform`: between 2 x 2 pixels, rounded down.

    All frames and channels of a place lie together while it is read, so that
    H W rows are read, four times: a TPU is slow with single values. Shears and
    translations, which move whole rows or columns, go the same way for simplicity.
    """
    frames, height, width, channels = x.shape
    a, b, c, d, e, f = matrix
    right = jnp.arange(width, dtype=jnp.float32)[None] + 0.5
    down = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    from_x, from_y = a * right + b * down + c, d * right + e * down + f
    inside = (0 <= from_x) & (from_x < width) & (0 <= from_y) & (from_y < height)
    left, top = jnp.floor(from_x - 0.5), jnp.floor(from_y - 0.5)
    share_x, share_y = from_x - 0.5 - left, from_y - 0.5 - top
    rows = x.transpose(1, 2, 0, 3).reshape(height * width, frames * channels)

    def read(y, x):
        # Half a pixel at the edge has its neighbour outside: it is its own.
        y = jnp.clip(y, 0, height - 1).astype(jnp.int32)
        x = jnp.clip(x, 0, width - 1).astype(jnp.int32)
        values = rows.at[y * width + x].get(mode="promise_in_bounds")
        return values.astype(jnp.float32)  # [H, W, T 3]

    def between(one, two, share):
        return one + (two - one) * share[..., None]

    above = between(read(top, left), read(top, left + 1), share_x)
    below = between(read(top + 1, left), read(top + 1, left + 1), share_x)
    fill = jnp.tile(jnp.array(FILL, jnp.float32), frames)[None, None]
    moved = jnp.where(inside[..., None], between(above, below, share_y), fill)
    moved = moved.astype(jnp.uint8).reshape(height, width, frames, channels)
    return moved.transpose(2, 0, 1, 3)
