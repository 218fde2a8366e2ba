"""MobileNetV2 (Sandler et al., CVPR 2018), in the form of the official TSM code."""

import math
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.width import kept
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.units import conv_unit, in_order, placed
from vidshift.shifts import Block, Scheme, Site
from vidshift.shifts.options import check_number

STEM = 32  # channels, at any width
# The paper's table 2: how many times a block widens its input, its output channels,
# blocks, and the first block's stride.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(Block):
    """`units(x)`, plus x where `residual`."""

    def __init__(self, units: list[nnx.Module], residual: bool):
        super().__init__()
        self.units = nnx.List(units)
        self.residual = residual

    def inside(self, x: Frames) -> Frames:
        y = x
        for unit in self.units:
            y = unit(y)
        return y.like(y.data + x.data) if self.residual else y


class BlockRow(NamedTuple):
    """A block's channels, stride, and how many times it widens its input."""

    cin: int
    cout: int
    stride: int
    expand: int

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.cin == self.cout


def block_rows(stages, width_mult: float) -> list[list[BlockRow]]:
    """The blocks of each stage."""
    rows, cin = [], STEM
    for expand, channels, length, stride in stages:
        cout = channels if expand == 1 else _wide(channels, width_mult)
        others = [BlockRow(cout, cout, 1, expand)] * (length - 1)
        rows.append([BlockRow(cin, cout, stride, expand), *others])
        cin = cout
    return rows


def inverted_units(row: BlockRow, width: float, unit):
    """1x1 to `expand` times the width, 3x3 of each channel, 1x1: `[(in, out, unit)]`.

    With `expand` of 1 the first is left out. The last has no activation. Channels are
    those of the full-width network, units are slimmed to `width`.
    """
    wide = row.expand * row.cin
    cin, inner, cout = (kept(c, width) for c in (row.cin, wide, row.cout))
    widen = [] if row.expand == 1 else [(row.cin, wide, unit(cin, inner, 1))]
    return widen + [
        (wide, wide, unit(inner, inner, 3, row.stride, groups=inner)),
        (wide, row.cout, unit(inner, cout, 1, activation=None)),
    ]


class MobileNetV2(FrameNetwork):
    """An inverted residual network over frames; see `FrameNetwork` for the head.

    A block is residual where stride and channels let it add its input: none that does
    not widen it, and never the first of a stage, unless a `width_mult` of at most 1/6
    rounds two stages to the same channels. TSM shifts the residual ones, ten of 17.

    Args:
      scheme: how time is mixed (`vidshift.shifts`).
      stages: rows as in `STAGES`.
      width_mult: multiplies channels, which are then rounded up to a multiple of 8, as
        in the official code. The stem keeps 32 channels, a stage that does not widen
        (the first) its own, and the last convolution at least 1,280. Torchvision's
        networks are others at any width but 1: they round to the nearest multiple (at
        1.4, 24 channels become 32 there and 40 here), stem and first stage included.
      width: share of the channels that are kept, each number a multiple of 8 (A3D); of
        those at `width_mult`, which is another network.
      **network: see `VideoNetwork`.

    Raises:
      ValueError: a `width_mult` that is not a positive number.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        stages,
        width_mult=1.0,
        width=1.0,
        in_channels=3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        check_number("width_mult", width_mult, above=0)
        unit = partial(conv_unit, activation=nnx.relu6, dtype=dtype, rngs=rngs)
        slim = partial(kept, width=width)
        self.stem = unit(in_channels, slim(STEM), 3, 2)
        rows = block_rows(stages, width_mult)
        built = []
        for stage, rows_of_stage in enumerate(rows):
            blocks = []
            for block, row in enumerate(rows_of_stage):
                parts = inverted_units(row, width, unit)
                place = partial(
                    Site,
                    stage,
                    block,
                    len(rows_of_stage),
                    units=len(parts),
                    residual=row.residual,
                    width=width,
                )
                units = placed(scheme, place, parts)
                site = place(unit=None, in_channels=row.cin, out_channels=row.cout)
                blocks.append(scheme.place(site, InvertedResidual(units, row.residual)))
            built.append(nnx.List(blocks))
        self.stages = nnx.List(built)
        last = _wide(1280, max(width_mult, 1.0))
        self.last = unit(slim(rows[-1][-1].cout), slim(last), 1)
        super().__init__(
            slim(last), in_channels=in_channels, dtype=dtype, rngs=rngs, **network
        )

    def body(self, x: Frames) -> Frames:
        """To `[H/32, W/32]`, rounded up."""
        return self.last(in_order(self.stages, self.stem(x)))


def _wide(channels: int, width_mult: float) -> int:
    return math.ceil(channels * width_mult / 8) * 8


mobilenet_v2 = partial(MobileNetV2, stages=STAGES)
