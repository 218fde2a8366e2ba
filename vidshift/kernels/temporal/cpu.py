"""A temporal shift's 1x1 convolution on a CPU, as products compiled by themselves."""

import functools

import jax.numpy as jnp

from vidshift.kernels.apart import apart
from vidshift.kernels.pointwise import sum_of_rows
from vidshift.kernels.temporal import reference
from vidshift.kernels.temporal.arguments import Move


def conv(x, weight, scale, bias, *, relu: bool, move: Move):
    """`reference.conv`, whose three copies of x are read from memory."""
    function = functools.partial(reference.conv, relu=relu, move=move)
    return apart(function, x, weight, scale, bias)


def conv_dx(dz, weight, *, move: Move):
    """`reference.conv_dx`."""
    return apart(functools.partial(reference.conv_dx, move=move), dz, weight)


def conv_dw(x, dz, *, move: Move):
    """`reference.conv_dw`, which transposes the operand with fewer channels."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    shift = functools.partial(reference.shift, move=move)
    return sum_of_rows(shift, x, dz, wide)[None]
