"""The arithmetic of a shift that all implementations share.

Along one axis, `y[o] = sum over i of hat(i - o * stride - s) x[i]` with
`hat(d) = max(0, 1 - |d|)`: two taps, `floor(s)` and `floor(s) + 1`, have a weight.
"""

import math

import jax.numpy as jnp

AXES = ("t", "h", "w")


def clamp(shift, max_shift):
    """The shift in use, and where its gradient lives: `[3, C]` each.

    At `+max_shift` the derivative to the right leaves the bound, so there it is zero too.
    """
    if max_shift is None:
        return shift, jnp.ones(shift.shape, bool)
    bound = jnp.asarray(max_shift, shift.dtype)[:, None]
    return jnp.clip(shift, -bound, bound), (shift >= -bound) & (shift < bound)


def nearest(shift):
    """Rounds half up, as the official kernel does: `floor(s + 0.5)` without its rounding."""
    low = jnp.floor(shift)
    return jnp.where(shift - low < 0.5, low, low + 1)


def reach(max_shift, sizes) -> tuple[int, int, int] | None:
    """Distance of the window's last tap, by axis; None: any distance.

    A shift by an axis' whole size reads nothing of it, so no window is wider.
    """
    if max_shift is None:
        return None
    return tuple(
        min(math.ceil(bound), size)
        for bound, size in zip(max_shift, sizes, strict=True)
    )


def hat(shift, tap):
    """The weight of a tap; exactly 1 and 0 at whole numbers, nan at nan."""
    return jnp.maximum(0, 1 - jnp.abs(shift - tap))


def slope(shift, tap):
    """The derivative of `hat` in the shift, to the right at a whole number."""
    low = jnp.floor(shift)
    return (tap == low + 1).astype(shift.dtype) - (tap == low).astype(shift.dtype)


def out_sizes(sizes, stride) -> tuple[int, ...]:
    """ceil(size / stride), by axis."""
    return tuple(-(-n // st) for n, st in zip(sizes, stride, strict=True))
