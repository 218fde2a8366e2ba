"""A part of a program that XLA compiles by itself."""

from collections.abc import Callable

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(function: Callable, *arrays):
    """Calls a function of arrays, which XLA then does not fuse with what is around it.

    On a CPU, XLA transposes the left operand of a product that sums over rows, and
    computes all that the operand depends on again while it does: the norm, activation and
    shift of a ResNet's features, at a stride. Here the arguments are in memory before.
    Optimization barriers do not help, as XLA drops them on a CPU. A convolution must stay
    outside: XLA has only its slow form for the inside of a call.
    """
    with set_xla_metadata(inlineable="false"):
        return jax.jit(function)(*arrays)
