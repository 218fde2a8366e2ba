"""Pooling over each frame of a clip, as PyTorch counts places and windows."""

import functools
import itertools

import jax
import jax.numpy as jnp

from vidshift.kernels import Frames
from vidshift.layers.precision import wide


def max_pool(
    x: Frames, side: int, stride: int, padding: int, *, ceil_mode: bool = False
) -> Frames:
    """The largest value of each window of a frame; beyond its edges is -inf.

    Of several largest values the first one, by rows, has the gradient.

    Args:
      side, stride: of the windows.
      padding: places around a frame on each side.
      ceil_mode: a last window that hangs over the far edge counts too, if it starts
        within the frame or the padding before it.
    """
    around = [_around(n, side, stride, padding, ceil_mode) for n in x.data.shape[:2]]
    return x.like(_max_pool(x.data, side, stride, tuple(around)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, side, stride, around):
    return _windows(x, -jnp.inf, jax.lax.max, side, stride, around)


def _max_pool_forward(x, side, stride, around):
    y, index = jax.lax.platform_dependent(
        x,
        # A TPU has an instruction for the gradient, which needs x alone.
        tpu=lambda x: _largest_alone(x, side, stride, around),
        default=lambda x: _largest_and_index(x, side, stride, around),
    )
    return y, (x, index)


def _max_pool_backward(side, stride, around, residuals, dy):
    def xlas(x, index, dy):
        _, pull = jax.vjp(
            lambda x: _windows(x, -jnp.inf, jax.lax.max, side, stride, around), x
        )
        return pull(dy)[0]

    def by_index(x, index, dy):
        return _to_largest(index, dy, x.shape, side, stride, around)

    dx = jax.lax.platform_dependent(*residuals, dy, tpu=xlas, default=by_index)
    return (dx,)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _largest_alone(x, side, stride, around) -> tuple[jax.Array, jax.Array]:
    y = _windows(x, -jnp.inf, jax.lax.max, side, stride, around)
    return y, jnp.zeros(y.shape, _index_dtype(side))


def _largest_and_index(x, side, stride, around) -> tuple[jax.Array, jax.Array]:
    """Pools by comparing arrays, and returns which place of each window was the largest.

    The gradient of XLA's own pooling looks for that place again, and scatters.
    """
    wide = jax.lax.pad(x, jnp.array(-jnp.inf, x.dtype), _edges(around))
    ends = [length - side + 1 for length in wide.shape[:2]]
    largest = index = None
    for number, (i, j) in enumerate(itertools.product(range(side), repeat=2)):
        values = wide[i : i + ends[0] : stride, j : j + ends[1] : stride]
        if largest is None:
            largest, index = values, jnp.zeros(values.shape, _index_dtype(side))
        else:
            index = jnp.where(values > largest, number, index).astype(index.dtype)
            largest = jnp.maximum(largest, values)
    return largest, index


def _to_largest(index, dy, shape, side, stride, around) -> jax.Array:
    """Adds, at each place, what the windows give in which it was the largest."""
    zero = jnp.zeros((), dy.dtype)
    total = 0
    places = list(enumerate(itertools.product(range(side), repeat=2)))
    # The windows that a place lies in are added up by rows, as XLA's scatter does.
    for number, place in reversed(places):
        edges = [
            (at - before, length + before - at - (windows - 1) * stride - 1, stride - 1)
            for at, (before, _), length, windows in zip(
                place, around, shape, dy.shape[:2]
            )
        ]
        chosen = jnp.where(index == number, dy, zero)
        total = total + jax.lax.pad(chosen, zero, (*edges, (0, 0, 0), (0, 0, 0)))
    return total


def _edges(around) -> tuple[tuple[int, int, int], ...]:
    return (*((before, after, 0) for before, after in around), (0, 0, 0), (0, 0, 0))


def _index_dtype(side: int):
    return jnp.int8 if side**2 <= jnp.iinfo(jnp.int8).max else jnp.int32


def avg_pool(x: Frames, side: int, stride: int, padding: int) -> Frames:
    """The mean of each window of a frame, summed in float32 or wider.

    The places around the frame count as zeros, so at its edges the mean is nearer to zero.
    """
    around = [(padding, padding)] * 2
    sums = _windows(wide(x.data), 0.0, jax.lax.add, side, stride, around)
    return x.like((sums / side**2).astype(x.data.dtype))


def _around(length, side, stride, padding, ceil_mode) -> tuple[int, int]:
    """Places before and after an axis."""
    if not ceil_mode:
        return padding, padding
    windows = -(-(length + 2 * padding - side) // stride) + 1
    if (windows - 1) * stride >= length + padding:
        windows -= 1  # it would see nothing but padding
    return padding, max(padding, (windows - 1) * stride + side - length - padding)


def _windows(x, start, reduce, side, stride, around) -> jax.Array:
    return jax.lax.reduce_window(
        x,
        start,
        reduce,
        (side, side, 1, 1),
        (stride, stride, 1, 1),
        (*around, (0, 0), (0, 0)),
    )
