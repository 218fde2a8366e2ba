"""The interpolated shift in plain JAX: the reference, on every platform.

Axis by axis. A bounded shift is a sum over the window of moved copies of the input; an
unbounded one gathers each channel's two neighbours.
"""

import jax
import jax.numpy as jnp

from kernels.interpolated.taps import hat, nearest, out_sizes, reach, slope


def forward(x, shift, *, stride, max_shift, whole):
    """`[B, T, H, W, C]`, shift `[3, C]` in use -> `[B, T', H', W', C]`, x's dtype.

    `whole` rounds the shift, and then only moves data.
    """
    window = reach(max_shift, x.shape[1:4])
    if whole:
        return _moved(x, nearest(shift), stride, window)
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return _combined(y, shift, stride, window).astype(x.dtype)


def backward(x, shift, dy, *, stride, max_shift, whole):
    """-> dx like x; the shift's gradient in parts to be summed, `[1, 3, C]`.

    With `whole` dx is the transpose of the rounded shift, and the shift's gradient that
    of the interpolated one (straight through).
    """
    window = reach(max_shift, x.shape[1:4])
    spread = _spread(dy, stride, x.shape[1:4])
    if whole:
        dx = _moved(spread, -nearest(shift), (1, 1, 1), window)
    else:
        wide = spread.astype(jnp.promote_types(x.dtype, jnp.float32))
        dx = _combined(wide, -shift, (1, 1, 1), window).astype(x.dtype)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    dshift = [
        jnp.sum(dy * _combined(wide, shift, stride, window, along), axis=(0, 1, 2, 3))
        for along in range(3)
    ]
    return dx, jnp.stack(dshift)[None]


def _combined(x, shift, stride, window, along=None):
    """The interpolation over all axes, of the derivative on axis `along`."""
    # The last axis first: it is the one whose stride leaves least for the others.
    for axis in (2, 1, 0):
        weight = slope if axis == along else hat
        s = shift[axis].astype(x.dtype)
        if window is None:
            low = jnp.floor(s)
            x = sum(
                weight(s, tap) * _gather(x, tap, axis + 1, stride[axis])
                for tap in (low, low + 1)
            )
        else:
            taps = range(-window[axis], window[axis] + 1)
            slices = _slices(x, taps, axis + 1, stride[axis])
            x = sum(
                weight(s, tap) * part for tap, part in zip(taps, slices, strict=True)
            )
    return x


def _moved(x, shift, stride, window):
    """The shift by whole numbers: every value is one of x's or zero, bit for bit."""
    for axis in (2, 1, 0):
        if window is None:
            x = _gather(x, shift[axis], axis + 1, stride[axis])
        else:
            taps = range(-window[axis], window[axis] + 1)
            y = jnp.zeros((), x.dtype)
            for tap, part in zip(
                taps, _slices(x, taps, axis + 1, stride[axis]), strict=True
            ):
                y = jnp.where(shift[axis] == tap, part, y)
            x = y
    return x


def _slices(x, taps, axis, stride):
    """For each tap: `y[o] = x[o * stride + tap]` along an axis, zero outside."""
    before, after = -min(taps), max(taps)
    size = out_sizes((x.shape[axis],), (stride,))[0]
    last = (size - 1) * stride
    pad = [(0, 0)] * x.ndim
    pad[axis] = (before, after)
    x = jnp.pad(x, pad)
    return [
        jax.lax.slice_in_dim(
            x, before + tap, before + tap + last + 1, stride=stride, axis=axis
        )
        for tap in taps
    ]


def _gather(x, tap, axis, stride):
    """`y[o, c] = x[o * stride + tap[c], c]` along an axis, zero outside."""
    n = x.shape[axis]
    places = jnp.arange(0, n, stride)[:, None]
    # Bounded first: a nan or a huge shift has no whole number.
    index = places + jnp.clip(jnp.nan_to_num(tap), -n - 1, n + 1).astype(jnp.int32)
    index = jnp.where(index < 0, n, index)  # a negative index would count from the end
    shape = [1] * x.ndim
    shape[axis], shape[-1] = index.shape
    return jnp.take_along_axis(x, index.reshape(shape), axis, mode="fill", fill_value=0)


def _spread(dy, stride, sizes):
    """dy at the places that a strided output was read from, zeros between."""
    pad = [(0, 0, 0)] * dy.ndim
    for axis, (st, n) in enumerate(zip(stride, sizes, strict=True), start=1):
        pad[axis] = (0, n - (dy.shape[axis] - 1) * st - 1, st - 1)
    return jax.lax.pad(dy, jnp.zeros((), dy.dtype), pad)
