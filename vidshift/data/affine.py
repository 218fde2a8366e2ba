"""Changes of pixels' places: rotation, shear and translation, as Pillow makes them.

Each takes the frames of one clip, uint8 [T, H, W, 3], and one number. A change is six
numbers a to f: the output at (x, y) is the input at (a x + b y + c, d x + e y + f), where
a pixel's middle is half a pixel from its edge.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

Frames = UInt8[Array, "T H W 3"]
Number = Float[Array, ""]

# What is outside the frame: ImageNet's mean colour, as in GSF's official code; timm alone
# has a grey of 128.
FILL = (124, 116, 104)


def rotate(x: Frames, degrees: Number) -> Frames:
    """Turns counterclockwise around the middle."""
    middle_y, middle_x = x.shape[1] / 2, x.shape[2] / 2
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    return _resample(
        x,
        (cos, -sin, middle_x - cos * middle_x + sin * middle_y),
        (sin, cos, middle_y - sin * middle_x - cos * middle_y),
    )


def shear_x(x: Frames, factor: Number) -> Frames:
    """Moves each row to the left, by `factor` more than the row above."""
    return _resample(x, (1.0, factor, 0.0), (0.0, 1.0, 0.0))


def shear_y(x: Frames, factor: Number) -> Frames:
    return _resample(x, (1.0, 0.0, 0.0), (factor, 1.0, 0.0))


def translate_x(x: Frames, share: Number) -> Frames:
    """Moves the frame to the left, by a share of its width."""
    return _resample(x, (1.0, 0.0, share * x.shape[2]), (0.0, 1.0, 0.0))


def translate_y(x: Frames, share: Number) -> Frames:
    return _resample(x, (1.0, 0.0, 0.0), (0.0, 1.0, share * x.shape[1]))


def _resample(x: Frames, to_x: tuple, to_y: tuple) -> Frames:
    """Pillow's bilinear `Image.transform`: between 2 x 2 pixels, rounded down.

    All frames and channels of a place lie together while it is read, so that the four
    reads are of H W rows; a TPU, slow at reading single values, reads rows well.
    """
    frames, height, width, channels = x.shape
    right = jnp.arange(width, dtype=jnp.float32)[None] + 0.5
    down = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    from_x = to_x[0] * right + to_x[1] * down + to_x[2]
    from_y = to_y[0] * right + to_y[1] * down + to_y[2]
    inside = (0 <= from_x) & (from_x < width) & (0 <= from_y) & (from_y < height)
    left, top = jnp.floor(from_x - 0.5), jnp.floor(from_y - 0.5)
    share_x, share_y = from_x - 0.5 - left, from_y - 0.5 - top
    places = x.transpose(1, 2, 0, 3).reshape(height * width, frames * channels)

    def read(row, column):
        row = jnp.clip(row, 0, height - 1).astype(jnp.int32)
        column = jnp.clip(column, 0, width - 1).astype(jnp.int32)
        read = places.at[row * width + column].get(mode="promise_in_bounds")
        return read.astype(jnp.float32)  # [H, W, T 3]

    def between(one, two, share):
        return one + (two - one) * share[..., None]

    above = between(read(top, left), read(top, left + 1), share_x)
    below = between(read(top + 1, left), read(top + 1, left + 1), share_x)
    read_ = between(above, below, share_y).astype(jnp.uint8)
    filled = jnp.where(
        inside[..., None],
        read_,
        jnp.tile(jnp.array(FILL, jnp.uint8), frames)[None, None],
    )
    return filled.reshape(height, width, frames, channels).transpose(2, 0, 1, 3)
