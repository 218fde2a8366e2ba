"""Blocks that RubiksNet's supplement (A4) compares: its own, and two with convolutions.

All keep 72 channels and have two convolutions, each with its batch norm and ReLU, and the
input added, as a network's blocks of stride 1. The paper draws them and gives no code.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.norm import BatchNorm
from vidshift.nets.resnet import ResidualBlock
from vidshift.nets.rubiksnet import PointUnit, ShiftBlock, ShiftOptions
from vidshift.nets.units import conv_unit, placed
from vidshift.shifts import SCHEMES, Site

CHANNELS = 72


class ComparedBlock(NamedTuple):
    """A block of the comparison.

    `make` takes `dtype` and `rngs`; `prepare` takes clips `[B, T, H, W, C]` and gives what the
    block's own network would hand it.
    """

    make: Callable[..., nnx.Module]
    prepare: Callable[[jax.Array], Frames | jax.Array]

    def abstract(self, dtype: jax.typing.DTypeLike = "float32") -> nnx.Module:
        """Returns the block in evaluation mode, of shapes alone, computing in `dtype`."""
        return nnx.eval_shape(lambda: self.make(dtype=dtype, rngs=nnx.Rngs(0)))


def _residual(kernel: tuple[int, ...], scheme: str, **options) -> ResidualBlock:
    """Returns ResNet's basic block with these kernels, its first unit under a scheme."""
    unit = partial(conv_unit, CHANNELS, CHANNELS, kernel, **options)
    parts = [(CHANNELS, CHANNELS, unit())]
    parts.append((CHANNELS, CHANNELS, unit(activation=None)))
    site = partial(Site, 0, 0, 1, units=2)
    return ResidualBlock(placed(SCHEMES[scheme](), site, parts), None)


def _rubiks_shift(*, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs) -> ShiftBlock:
    """Returns RubiksNet's block with the interpolated shift, as its networks have it."""
    linear = partial(nnx.Linear, use_bias=False, dtype=dtype, rngs=rngs)
    norm = partial(BatchNorm, dtype=dtype)
    unit = PointUnit(linear(CHANNELS, CHANNELS), norm(CHANNELS))
    layers = {"linear": linear, "norm": norm, "rngs": rngs}
    form = {"stride": 1, "squeeze": False}
    return ShiftBlock(CHANNELS, CHANNELS, unit, ShiftOptions(), **form, **layers)


CONV_3D, CONV_2D, RUBIKS = "3-D convolution", "2-D convolution, shift", "RubiksShift"
# From the most expensive to the cheapest.
BLOCKS = {
    CONV_3D: ComparedBlock(partial(_residual, (3, 3, 3), "tsn"), Frames.of),
    CONV_2D: ComparedBlock(partial(_residual, (3, 3), "tsm"), Frames.of),
    RUBIKS: ComparedBlock(_rubiks_shift, lambda clips: clips),
}
