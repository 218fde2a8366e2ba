"""Draws of new weights that several layers share."""

import math

import jax
from flax import nnx

he_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
# PyTorch's for a convolution's kernel: uniform within 1 / sqrt(fan_in).
torch_default = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias(fan_in: int):
    """PyTorch's for the bias of a convolution of that fan-in."""
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype: jax.random.uniform(
        key, shape, dtype, -bound, bound
    )
