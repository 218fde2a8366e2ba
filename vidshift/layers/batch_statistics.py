"""Normalisation by a batch's own statistics, with a gradient in the fewest passes.

Forward: a pass over x for both sums, and one that reads x and writes y. Backward: a pass
over x and dy for both sums, and one that reads them again and writes dx.

Both sums of a pass are made within each frame first, then over frames in one array. A GPU
adds that array up in one small kernel, and several devices exchange it in one sum.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vidshift.layers.precision import wide


class Spec(NamedTuple):
    """Static arguments; axes are those of x."""

    frame_axes: tuple[int, ...]  # of places within a frame
    other_axes: tuple[int, ...]  # of frames that share their statistics
    epsilon: float
    dtype: jax.typing.DTypeLike  # of the result


def count(x: jax.Array, spec: Spec) -> float:
    """Returns how many values a statistic is made of: more than an int32 holds, maybe."""
    return math.prod(x.shape[a] for a in spec.frame_axes + spec.other_axes) * 1.0


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalise(
    x: Float[Array, "..."],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    around: Float[Array, " C"],
    spec: Spec,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises x over axes of its batch: `(x - mean) / sqrt(var + epsilon) * scale + bias`.

    Args:
      x: features, channels last.
      scale, bias: float32.
      around: a value near the mean, float32. Sums of squares are taken around it, so that
        little cancels in the variance; the result depends on it by rounding alone.
      spec: axes that share a statistic, epsilon, the result's dtype.

    Returns:
      y of x's shape, then the mean and the biased variance, float32, of x's shape
      without the axes. The statistics pass no gradient on.
    """
    return _forward(x, scale, bias, around, spec)[0]


def _forward(x, scale, bias, around, spec):
    features = wide(x)
    centred = features - _of_rank(around, x.ndim)
    sums = _both_sums(centred, centred * centred, spec)
    shifted, squares = sums / count(x, spec)
    around, scale, bias = (_of_rank(v, shifted.ndim) for v in (around, scale, bias))
    mean, var = shifted + around, jnp.maximum(squares - shifted * shifted, 0.0)
    inverse = jax.lax.rsqrt(var + spec.epsilon)
    factor = scale * inverse
    summand = bias - mean * factor
    y = (features * _over(factor, spec) + _over(summand, spec)).astype(spec.dtype)
    return (y, mean, var), (x, mean, inverse, factor)


def _backward(spec, residuals, cotangents):
    x, mean, inverse, factor = residuals
    dy = wide(cotangents[0])
    unit = (wide(x) - _over(mean, spec)) * _over(inverse, spec)
    sums = _both_sums(dy, dy * unit, spec)
    # What the two statistics take out of dy.
    along = sums * (1.0 / count(x, spec))
    dx = dy - _over(along[0], spec) - unit * _over(along[1], spec)
    dx = (dx * _over(factor, spec)).astype(x.dtype)
    dbias, dscale = sums.sum(tuple(range(1, mean.ndim)))
    return dx, dscale, dbias, jnp.zeros_like(dscale)


normalise.defvjp(_forward, _backward)


def _both_sums(first, second, spec: Spec) -> jax.Array:
    """Returns both sums over the axes, side by side on a new first axis."""
    partial = jnp.stack([first.sum(spec.frame_axes), second.sum(spec.frame_axes)])
    passed = [sum(f < axis for f in spec.frame_axes) for axis in spec.other_axes]
    return partial.sum([a - p + 1 for a, p in zip(spec.other_axes, passed)])


def _over(statistic, spec: Spec) -> jax.Array:
    """Gives a statistic axes of length 1 where it was summed."""
    return jnp.expand_dims(statistic, spec.frame_axes + spec.other_axes)


def _of_rank(vector, rank: int) -> jax.Array:
    """Gives a vector over the channels as many axes, the last of them the channels'."""
    return vector.reshape((1,) * (rank - 1) + vector.shape)
