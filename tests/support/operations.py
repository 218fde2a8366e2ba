"""The four operations as one table, for the tests that are the same for all of them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.dispatch import with_gradients
from vidshift.kernels import (
    Frames,
    shift3d,
    shift3d_conv,
    temporal_shift,
    temporal_shift_conv,
)
from vidshift.kernels.analysis.cases import OPERATIONS
from vidshift.kernels.dispatch import Operation

# Frames of each clip fill a tile of the TPU's rows, so that every implementation takes it.
SHAPE, OUTPUTS = (8, 8, 2, 3, 6), 5
ONE = (1.0, 1.0, 1.0)
RELU = {"relu": True}


class Call(NamedTuple):
    """A small call of an operation that every implementation of it takes."""

    op: str
    function: Callable  # (x, *shared, implementation=) -> y
    shared: tuple[str, ...] = ()  # arrays without the batch

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.op].operation

    def arrays(self, batch: int = SHAPE[0]) -> list[jax.Array]:
        """x, what devices share, and dy; shifts within their bounds, no sums of zero."""
        rng = np.random.default_rng(batch)
        c, k = SHAPE[-1], OUTPUTS
        shapes = {"shift": (3, c), "weight": (c, k), "scale": (k,), "bias": (k,)}
        x = jnp.zeros((batch, *SHAPE[1:]))
        shared = [rng.uniform(-0.9, 0.9, shapes[name]) for name in self.shared]
        y = jax.eval_shape(self.function, x, *map(jnp.float32, shared))
        arrays = [rng.standard_normal(x.shape), *shared, rng.standard_normal(y.shape)]
        return [jnp.asarray(a, jnp.float32) for a in arrays]

    def with_gradients(self, **options) -> Callable:
        """A function of `arrays` to y and the gradients in all of them but dy."""
        return with_gradients(functools.partial(self.function, **options))


def _shift3d_conv(x, shift, weight, scale, bias, **options):
    arrays = {"scale": scale, "bias": bias}
    return shift3d_conv(x, shift, weight, **arrays, max_shift=ONE, **RELU, **options)


def _temporal_conv(x, weight, scale, bias, **options):
    arrays = {"scale": scale, "bias": bias}
    return temporal_shift_conv(x, weight, **arrays, fold=2, **RELU, **options)


def _in_frames(function):
    def of_clips(x, *shared, **options):
        return function(Frames.of(x), *shared, **options).clips()

    return of_clips


_MOVED, _AFFINE = functools.partial(temporal_shift, fold=2), ("weight", "scale", "bias")
CALLS = {
    "shift3d": Call("shift3d", functools.partial(shift3d, max_shift=ONE), ("shift",)),
    "shift3d_conv": Call("shift3d_conv", _shift3d_conv, ("shift", *_AFFINE)),
    "temporal_shift": Call("temporal_shift", _MOVED),
    "temporal_shift_frames": Call("temporal_shift", _in_frames(_MOVED)),
    "temporal_shift_conv": Call("temporal_shift_conv", _temporal_conv, _AFFINE),
    "temporal_shift_conv_frames": Call(
        "temporal_shift_conv", _in_frames(_temporal_conv), _AFFINE
    ),
}
