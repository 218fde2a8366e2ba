"""ResNet-18/34/50/101 (He et al., 2016) and ResNeXt-101 (Xie et al., 2017).

The form is torchvision's "v1.5", which TSM, GSF and RubiksNet's baselines use: the
stride of a bottleneck sits in its 3x3 convolution, padding is explicit and symmetric.
"""

from functools import partial

import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.pool import max_pool
from vidshift.layers.relu import relu
from vidshift.layers.width import kept
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.units import conv_unit, in_order, placed
from vidshift.shifts import Block, Scheme, Site


class ResidualBlock(Block):
    """`relu(units(x) + shortcut(x))`."""

    def __init__(self, units: list[nnx.Module], shortcut: nnx.Module | None):
        super().__init__()
        self.units = nnx.List(units)
        self.shortcut = nnx.data(shortcut)

    def inside(self, x: Frames) -> Frames:
        y = x
        for unit in self.units:
            y = unit(y)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return y.like(relu(y.data + shortcut.data))


def basic_units(cin, width, stride, unit):
    """Two 3x3 convolutions: `[(in, out, unit), ...]`."""
    return [
        (cin, width, unit(cin, width, 3, stride)),
        (width, width, unit(width, width, 3, activation=None)),
    ]


def bottleneck_units(cin, width, stride, unit, *, widen=1, groups=1):
    """1x1 down, 3x3 with the stride, 1x1 up to four times the width.

    `widen` multiplies the inner channels, which `groups` share among them (ResNeXt).
    """
    inner = width * widen
    return [
        (cin, inner, unit(cin, inner, 1)),
        (inner, inner, unit(inner, inner, 3, stride, groups=groups)),
        (inner, 4 * width, unit(inner, 4 * width, 1, activation=None)),
    ]


class ResNet(FrameNetwork):
    """A residual network over frames; see `FrameNetwork` for the head.

    Args:
      scheme: how time is mixed (`vidshift.shifts`).
      blocks: residual blocks a stage.
      block_units: `basic_units` or `bottleneck_units`.
      base: channels of the first stage's 3x3 convolutions; doubles at each stage.
      width: share of the channels that are kept, each number a multiple of 8 (A3D).
      small_stem: a 3x3 convolution of stride 2 instead of 7x7 and max pooling, for
        sides of 32 to 64 pixels.
      **network: see `VideoNetwork`.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        blocks,
        block_units,
        base=64,
        width=1.0,
        small_stem=False,
        in_channels=3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        unit = partial(conv_unit, dtype=dtype, rngs=rngs)

        def slim_unit(cin, cout, *shape, **options):
            """A unit between numbers of channels at full width."""
            return unit(kept(cin, width), kept(cout, width), *shape, **options)

        self.stem = unit(in_channels, kept(base, width), 3 if small_stem else 7, 2)
        self.max_pool = not small_stem
        stages, cin = [], base
        for stage, length in enumerate(blocks):
            built = []
            for block in range(length):
                stride = 2 if stage > 0 and block == 0 else 1
                parts = block_units(cin, base * 2**stage, stride, slim_unit)
                cout = parts[-1][1]
                place = partial(
                    Site, stage, block, length, units=len(parts), width=width
                )
                units = placed(scheme, place, parts)
                shortcut = None
                if stride != 1 or cin != cout:
                    shortcut = slim_unit(cin, cout, 1, stride, activation=None)
                site = place(unit=None, in_channels=cin, out_channels=cout)
                built.append(scheme.place(site, ResidualBlock(units, shortcut)))
                cin = cout
            stages.append(nnx.List(built))
        self.stages = nnx.List(stages)
        super().__init__(
            kept(cin, width), in_channels=in_channels, dtype=dtype, rngs=rngs, **network
        )

    def body(self, x: Frames) -> Frames:
        """To `[H/32, W/32]`, rounded up; H/8 with three stages and a small stem."""
        x = self.stem(x)
        if self.max_pool:
            x = max_pool(x, 3, 2, 1)
        return in_order(self.stages, x)


# One basic block a stage and a small stem: for tests and the quick start.
resnet_tiny = partial(
    ResNet, blocks=(1, 1, 1), block_units=basic_units, base=16, small_stem=True
)
resnet18 = partial(ResNet, blocks=(2, 2, 2, 2), block_units=basic_units)
resnet34 = partial(ResNet, blocks=(3, 4, 6, 3), block_units=basic_units)
resnet50 = partial(ResNet, blocks=(3, 4, 6, 3), block_units=bottleneck_units)
resnet101 = partial(ResNet, blocks=(3, 4, 23, 3), block_units=bottleneck_units)
resnext101_32x4d = partial(
    ResNet,
    blocks=(3, 4, 23, 3),
    block_units=partial(bottleneck_units, widen=2, groups=32),
)
