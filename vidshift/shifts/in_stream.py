"""RubiksNet's shifts in a stream: in space frame by frame, in time from what is kept.

Made of a network's weights when its stream is made. They take and give one frame of each
stream, `[H, W, B, C]`, and consist of padding, slices, gathers, sums and products, which
other runtimes have too; an interpolated shift they do not.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from vidshift.layers.precision import wide
from vidshift.shifts.past import exchange, new_past


def concrete(variable: nnx.Variable) -> np.ndarray:
    """A weight's values.

    Raises:
      ValueError: it has none yet, or they are traced.
    """
    value = variable.get_value()
    known = isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
    if not known:
        raise ValueError(
            "a stream of a RubiksNet is made of its weights, and this one has only shapes"
        )
    return np.asarray(value)


class ShiftInSpace(nnx.Module):
    """`y[i, j] = x[i * stride + h, j * stride + w]`, each channel by its own (h, w).

    Along each axis a sum of moved copies, as many as the furthest shift needs, each with
    its interpolation weight by channel, or the 1 of a whole shift. A depthwise convolution
    is the same sum; XLA takes 20 to 100 times as long for it on a CPU.

    Args:
      shift: rows h and w, as they act.
    """

    def __init__(self, shift: Float[np.ndarray, "2 C"], stride: int):
        low = np.floor(shift.min(1)).astype(int).clip(max=0).tolist()
        high = np.ceil(shift.max(1)).astype(int).clip(min=0).tolist()
        self.rows, self.columns = (
            nnx.List(
                nnx.Param(jnp.asarray(weight))
                for weight in interpolation(one, range(first, last + 1))
            )
            for one, first, last in zip(shift, low, high, strict=True)
        )
        self.stride = stride
        # So many places more that the first copy's origin is the first place.
        self.padding = tuple((-first, last) for first, last in zip(low, high))

    def __call__(self, x: Float[Array, "H W B C"]) -> Float[Array, "H2 W2 B C"]:
        y = self._along(1, self.columns, wide(x))
        return self._along(0, self.rows, y).astype(x.dtype)

    def _along(self, axis: int, weights, x: jax.Array) -> jax.Array:
        count = -(-x.shape[axis] // self.stride)
        around = [(0, 0)] * 4
        around[axis] = self.padding[axis]
        x = jnp.pad(x, around)
        moved = [
            jax.lax.slice_in_dim(
                x, first, first + (count - 1) * self.stride + 1, self.stride, axis
            )
            for first in range(len(weights))
        ]
        if len(weights) == 1:  # nothing moves
            return moved[0]
        return functools.reduce(
            jnp.add,
            (
                weight[...].reshape(1, 1, 1, -1) * copy
                for weight, copy in zip(weights, moved, strict=True)
            ),
        )


class MixOfPast(nnx.Module):
    """`y[t] = sum over k of weight[k, c] x[t - k]`, where x is zero before the stream.

    Of the frame k before it keeps the channels that have a weight for it or for one
    further back. Where each channel reads one frame, values are only moved.

    Args:
      weight: the present frame's first.
    """

    def __init__(self, weight: Float[np.ndarray, "K C"]):
        channels = weight.shape[1]
        furthest = max(np.flatnonzero(weight.any(1)), default=0)
        read = [np.arange(channels)]
        for k in range(1, furthest + 1):
            read.append(np.flatnonzero(weight[k:].any(0)))
        # Where the channels that are read of a frame are among those of the one after it.
        self.kept = tuple(
            _whole_numbers(np.searchsorted(later, earlier))
            for later, earlier in itertools.pairwise(read)
        )
        self.past = nnx.List(new_past() for _ in self.kept)
        moved = ((weight == 0) | (weight == 1)).all() and (weight.sum(0) == 1).all()
        self.weights = nnx.data(None)
        if moved:
            # Each channel's place among those of all frames side by side.
            starts = np.cumsum([0, *map(len, read[:-1])])
            self.places = _whole_numbers(
                starts[k] + np.searchsorted(read[k], c)
                for c, k in enumerate(weight.argmax(0))
            )
        else:
            self.weights = nnx.List(
                nnx.Param(jnp.asarray(weight[k, of])) for k, of in enumerate(read)
            )
            # Each channel's place among those of a frame; a zero follows them.
            self.spread = tuple(
                _whole_numbers(
                    np.searchsorted(of, c) if c in of else len(of)
                    for c in range(channels)
                )
                for of in read
            )

    def __call__(self, x: Float[Array, "H W B C"]) -> Float[Array, "H W B C"]:
        frames = [x]
        for past, kept in zip(self.past, self.kept, strict=True):
            frames.append(exchange(past, _channels(frames[-1], kept)))
        if self.weights is None:
            return _channels(jnp.concatenate(frames, -1), self.places)
        total = None
        for frame, weight, places in zip(
            frames, self.weights, self.spread, strict=True
        ):
            weighted = wide(frame) * weight[...].reshape(1, 1, 1, -1)
            if weighted.shape != x.shape:
                zero = jnp.zeros((*weighted.shape[:-1], 1), weighted.dtype)
                weighted = jnp.concatenate([weighted, zero], -1)
            weighted = _channels(weighted, places)
            total = weighted if total is None else total + weighted
        return total.astype(x.dtype)


def interpolation(shift: Float[np.ndarray, " C"], places) -> Float[np.ndarray, "P C"]:
    """The weight of each place for a shift: `max(0, 1 - |shift - place|)`."""
    places = np.asarray(places, np.float32)[:, None]
    return np.maximum(0, 1 - np.abs(shift[None] - places)).astype(np.float32)


def _whole_numbers(values) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _channels(x: jax.Array, which: tuple[int, ...]) -> jax.Array:
    """Some of the channels, in that order."""
    if which == tuple(range(x.shape[-1])):
        return x
    if which == tuple(range(which[0], which[0] + len(which))):
        return x[..., which[0] : which[0] + len(which)]
    return jnp.take(x, np.asarray(which), axis=-1, mode="clip")
