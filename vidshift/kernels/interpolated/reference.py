"""The interpolated shift in plain JAX: the reference, on every platform.

Axis by axis. A bounded shift is a sum over the window of moved copies of the input; an
unbounded one gathers each channel's two neighbours.
"""

import jax
import jax.numpy as jnp

from vidshift.kernels.interpolated.taps import hat, nearest, out_sizes, reach, slope

# Each slice adds HLO; beyond this window two gathers compile smaller.
WIDEST_WINDOW = 4


def forward(x, shift, *, stride, max_shift, whole):
    """`[B, T, H, W, C]`, shift `[3, C]` in use -> `[B, T', H', W', C]`, x's dtype.

    `whole` rounds the shift, and then only moves data.
    """
    window = _windows(x, max_shift)
    y = x if whole else x.astype(_wide(x))
    # The last axis first: it is the one whose stride leaves least for the others.
    for axis in (2, 1, 0):
        along = (axis + 1, stride[axis], window[axis])
        if whole:
            y = _moved(y, nearest(shift[axis]), *along)
        else:
            y = _value(_parts(y, shift[axis], *along), shift[axis])
    return y.astype(x.dtype)


def backward(x, shift, dy, *, stride, max_shift, whole):
    """Returns dx like x, and parts of dshift to be summed, `[1, 3, C]`.

    With `whole` dx is the transpose of the rounded shift, and the shift's gradient that
    of the interpolated one (straight through).
    """
    window = _windows(x, max_shift)

    def onwards(axis, y):
        return _parts(y, shift[axis], axis + 1, stride[axis], window[axis])

    def back(axis, y):
        y = spread(y, axis + 1, stride[axis], x.shape[axis + 1])
        return _parts(y, shift[axis], axis + 1, -1, window[axis])

    # With A the interpolation along an axis and D its slope in the shift, the shift's
    # gradients are <dy, D_t A_h A_w x> and so on. Moving A_t and A_h to the other side
    # makes their factors those that dx = A_w' A_h' A_t' dy is made of.
    t, h, w = shift
    back_t = back(0, dy.astype(_wide(x)))
    e = _value(back_t, t)
    m = _value(back(1, e), h)
    by_w = onwards(2, x.astype(_wide(x)))
    by_h = onwards(1, _value(by_w, w))
    products = [
        _slope(back_t, t) * _value(by_h, h),
        e * _slope(by_h, h),
        m * _slope(by_w, w),
    ]
    if whole:
        dx = dy
        for axis in range(3):
            dx = spread(dx, axis + 1, stride[axis], x.shape[axis + 1])
            dx = _moved(dx, nearest(shift[axis]), axis + 1, -1, window[axis])
    else:
        dx = _value(back(2, m), w)
    dshift = [p.sum(axis=(0, 1, 2, 3)) for p in products]
    return dx.astype(x.dtype), jnp.stack(dshift)[None]


def _windows(x, max_shift):
    """Reach of each axis' slices; None: gathers, where there would be many slices."""
    window = reach(max_shift, x.shape[1:4]) or (None,) * 3
    return tuple(None if r is None or r > WIDEST_WINDOW else r for r in window)


def _wide(x):
    """The type of the sums."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _parts(x, shift, axis, step, window):
    """The taps of an axis, each channel's own or those of a window, and what they read."""
    low = jnp.floor(shift)
    taps = (low, low + 1) if window is None else range(-window, window + 1)
    return [(tap, _read(x, tap, axis, step, window)) for tap in taps]


def _value(parts, shift):
    return sum(_per_channel(hat(shift, tap), part) * part for tap, part in parts)


def _slope(parts, shift):
    return sum(_per_channel(slope(shift, tap), part) * part for tap, part in parts)


def _per_channel(weight, x):
    return weight.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def _moved(x, shift, axis, step, window):
    """Along an axis by whole numbers: each value is one of x's or zero, bit for bit.

    Of a shift that is nan every value is nan.
    """
    per_channel = shift.reshape((1,) * (x.ndim - 1) + (-1,))
    y = jnp.where(jnp.isnan(per_channel), jnp.asarray(jnp.nan, x.dtype), 0)
    if window is None:
        return jnp.where(jnp.isnan(per_channel), y, _read(x, shift, axis, step, window))
    for tap in range(-window, window + 1):
        y = jnp.where(per_channel == tap, _read(x, tap, axis, step, window), y)
    return y


def _read(x, tap, axis, step, window):
    """`y[o] = x[o * step + tap]`, or `x[o - tap]` with step -1, zero outside."""
    tap, step = (-tap, 1) if step < 0 else (tap, step)
    n = x.shape[axis]
    if window is None:
        places = jnp.arange(0, n, step)[:, None]
        # A nan, which its weight carries on, has no whole number.
        index = places + jnp.nan_to_num(tap).astype(jnp.int32)[None]
        index = jnp.where(index < 0, n, index)  # negative would count from the end
        shape = [1] * x.ndim
        shape[axis], shape[-1] = index.shape
        return jnp.take_along_axis(
            x, index.reshape(shape), axis, mode="fill", fill_value=0
        )
    pad = [(0, 0)] * x.ndim
    pad[axis] = (window, window)
    start, count = window + tap, out_sizes((n,), (step,))[0]
    return jax.lax.slice_in_dim(
        jnp.pad(x, pad), start, start + (count - 1) * step + 1, step, axis
    )


def spread(y, axis, stride, size):
    """y at the places along an axis that a strided output was read from, zeros between."""
    pad = [(0, 0, 0)] * y.ndim
    pad[axis] = (0, size - (y.shape[axis] - 1) * stride - 1, stride - 1)
    return jax.lax.pad(y, jnp.zeros((), y.dtype), pad)
