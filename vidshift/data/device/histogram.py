"""Histogram of a frame's 256 levels, and a table of levels applied to the frame.

Both are done by counting and reading one by one, or on a TPU, which is slow at that, by
products. A level is 16 h + l, and with h and l one-hot over 16 values the counts are a
product over all pixels: exact, as the TPU's units multiply bfloat16 and sum float32.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, BFloat16, Int, UInt8

from vidshift.data.device.rgb_clip import RgbClip

LEVELS = 256


def histogram(x: RgbClip) -> Int[Array, "T 3 256"]:
    """Counts the levels of each frame and channel."""
    return jax.lax.platform_dependent(
        x, tpu=histogram_by_products, default=histogram_by_counting
    )


def look_up(table: UInt8[Array, "T 3 256"], x: RgbClip) -> RgbClip:
    """`table[t, c, x[t, h, w, c]]`."""
    return jax.lax.platform_dependent(
        table, x, tpu=look_up_by_products, default=look_up_by_reading
    )


def histogram_by_counting(x: RgbClip) -> Int[Array, "T 3 256"]:
    counts = jnp.zeros((x.shape[0] * 3 * LEVELS,), jnp.int32)
    counts = counts.at[_entries(x)].add(1, mode="promise_in_bounds")
    return counts.reshape(-1, 3, LEVELS)


def look_up_by_reading(table: UInt8[Array, "T 3 256"], x: RgbClip) -> RgbClip:
    return table.reshape(-1).at[_entries(x)].get(mode="promise_in_bounds")


def _entries(x: RgbClip) -> Int[Array, "T H W 3"]:
    """Returns the place of each level in the tables of all frames and channels, end to end."""
    tables = jnp.arange(x.shape[0] * 3).reshape(-1, 1, 1, 3)
    return tables * LEVELS + x.astype(jnp.int32)


def histogram_by_products(x: RgbClip) -> Int[Array, "T 3 256"]:
    high, low = _one_hot(x)
    counts = jnp.einsum(
        "tchn,tcln->tchl", high, low, preferred_element_type=jnp.float32
    )
    return counts.reshape(-1, 3, LEVELS).astype(jnp.int32)


def look_up_by_products(table: UInt8[Array, "T 3 256"], x: RgbClip) -> RgbClip:
    high, low = _one_hot(x)
    # Levels have eight bits, as bfloat16 does.
    table = table.reshape(-1, 3, 16, 16).astype(jnp.bfloat16)
    rows = jnp.einsum(
        "tchn,tchl->tcln", high, table, preferred_element_type=jnp.float32
    )
    values = jnp.where(low > 0, rows, 0).sum(2).astype(jnp.uint8)
    return values.reshape(-1, 3, *x.shape[1:3]).transpose(0, 2, 3, 1)


def _one_hot(x: RgbClip) -> tuple[BFloat16[Array, "T 3 16 N"], ...]:
    """The upper and the lower four bits of all N pixels."""
    pixels = x.transpose(0, 3, 1, 2).reshape(x.shape[0], 3, 1, -1)
    values = jnp.arange(16, dtype=jnp.uint8).reshape(1, 1, 16, 1)
    return tuple(
        (bits == values).astype(jnp.bfloat16) for bits in (pixels >> 4, pixels & 15)
    )
