"""Changes of pixels' values, as Pillow makes them, frame by frame in uint8.

Each takes the frames of one clip, uint8 [T, H, W, 3] in RGB, and one number. The formulas
are those of Pillow's `ImageOps` and `ImageEnhance`, with their rounding. torchvision's
ColorJitter of a Pillow picture is the same but for `hue`; that of a tensor has a grey of
slightly other weights, rounded down, and does not round the mean of `contrast`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Int

from vidshift.data.device.histogram import LEVELS, histogram, look_up
from vidshift.data.device.rgb_clip import Number, RgbClip


def invert(x: RgbClip, _: Number) -> RgbClip:
    return 255 - x


def posterize(x: RgbClip, bits: Number) -> RgbClip:
    """Keeps the first bits; of 0 bits, which Pillow refuses by now, nothing is left."""
    dropped = 8 - bits.astype(jnp.int32)
    return x & (256 - (1 << dropped)).astype(jnp.uint8)


def solarize(x: RgbClip, threshold: Number) -> RgbClip:
    """Inverts levels from the threshold on."""
    return jnp.where(x.astype(jnp.float32) < threshold, x, 255 - x)


def solarize_add(x: RgbClip, levels: Number) -> RgbClip:
    """Adds to the darker half of the levels."""
    added = jnp.minimum(x.astype(jnp.int32) + levels.astype(jnp.int32), 255)
    return jnp.where(x < 128, added.astype(jnp.uint8), x)


def auto_contrast(x: RgbClip, _: Number) -> RgbClip:
    """Spreads each channel from its darkest and lightest level to 0 and 255.

    `floor(255 (x - darkest) / range)`. Where that quotient is whole, Pillow's doubles
    may come out one lower.
    """
    wide = x.astype(jnp.float32)
    darkest = wide.min((1, 2), keepdims=True)
    width = wide.max((1, 2), keepdims=True) - darkest
    # Half a unit more than the dividend keeps rounding off the whole quotients.
    spread = ((wide - darkest) * 255 + 0.5) / jnp.maximum(width, 1)
    return jnp.where(width > 0, spread.astype(jnp.uint8), x)


def equalize(x: RgbClip, _: Number) -> RgbClip:
    """Makes each channel's levels equally frequent."""
    counts = histogram(x)
    before = jnp.cumsum(counts, -1) - counts
    # All pixels but those of the lightest level, shared out to 255 steps.
    step = jnp.where(counts > 0, before, 0).max(-1, keepdims=True) // 255
    table = jnp.minimum((step // 2 + before) // jnp.maximum(step, 1), 255)
    # Pillow leaves a channel of one level as it is, and one too small for a step.
    table = jnp.where(step > 0, table, jnp.arange(LEVELS)).astype(jnp.uint8)
    return look_up(table, x)


def brightness(x: RgbClip, factor: Number) -> RgbClip:
    return _blend(jnp.float32(0), x, factor)


def contrast(x: RgbClip, factor: Number) -> RgbClip:
    """Moves levels away from the frame's mean grey, which Pillow rounds."""
    pixels = x.shape[1] * x.shape[2]
    total = _grey(x).sum((1, 2), keepdims=True)[..., None]
    return _blend((total + pixels // 2) // pixels, x, factor)


def color(x: RgbClip, factor: Number) -> RgbClip:
    return _blend(_grey(x)[..., None], x, factor)


def sharpness(x: RgbClip, factor: Number) -> RgbClip:
    """Moves levels away from the mean of 3 x 3, in which the middle counts five times.

    Pixels at the edge stay.
    """
    height, width = x.shape[1:3]
    wide = x.astype(jnp.float32)
    padded = jnp.pad(wide, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    mean = jnp.floor((sums + 4 * wide + 6.5) / 13)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)[None]
    edge = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    return _blend(jnp.where(edge[None, ..., None], wide, mean), x, factor)


def hue(x: RgbClip, share: Number) -> RgbClip:
    """Turns the hue by a share of the circle, at the same value and saturation.

    In float32, rounded to the nearest level once; torchvision's changes of Pillow's
    pictures round hue, saturation and value to 8 bits in between.
    """
    red, green, blue = (x[..., c : c + 1].astype(jnp.float32) for c in range(3))
    most = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = most - jnp.minimum(jnp.minimum(red, green), blue)
    over = jnp.maximum(chroma, 1)  # of grey any hue will do
    # In sixths of the circle.
    angle = jnp.where(
        most == red,
        (green - blue) / over,
        jnp.where(most == green, 2 + (blue - red) / over, 4 + (red - green) / over),
    )
    # Each channel is at its most for two sixths around its own hue and falls off on
    # both sides.
    place = jnp.array([5.0, 3.0, 1.0])[None, None, None] + (angle + 6 * share)
    place -= 6 * jnp.floor(place / 6)
    less = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
    return jnp.floor(most - chroma * less + 0.5).astype(jnp.uint8)


def _blend(start: Array, x: RgbClip, factor: Number) -> RgbClip:
    """`start + factor (x - start)`, cut off at both ends and rounded down."""
    start = start.astype(jnp.float32)
    mixed = start + factor * (x.astype(jnp.float32) - start)
    return jnp.clip(mixed, 0, 255).astype(jnp.uint8)


def _grey(x: RgbClip) -> Int[Array, "T H W"]:
    """Luma of ITU-R 601-2, in Pillow's integers."""
    red, green, blue = (x[..., c].astype(jnp.int32) for c in range(3))
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
