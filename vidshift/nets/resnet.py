"""ResNet-18/34/50/101 (He et al., 2016) over the frames of a clip.

The form is torchvision's "v1.5", which TSM, GSF and RubiksNet's baselines use: the
stride of a bottleneck sits in its 3x3 convolution, padding is explicit and symmetric.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from kernels import Frames
from vidshift.nets.conv import FrameConv, max_pool
from vidshift.nets.norm import BatchNorm
from vidshift.shifts import Scheme, Site, Unit

he_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv_unit(cin, cout, kernel, stride=1, *, activation=nnx.relu, dtype, rngs):
    """Convolution without bias over each frame, batch norm, activation."""
    conv = FrameConv(
        cin,
        cout,
        (kernel, kernel),
        (stride, stride),
        padding=((kernel // 2, kernel // 2),) * 2,
        use_bias=False,
        kernel_init=he_fan_out,
        dtype=dtype,
        rngs=rngs,
    )
    return Unit(conv, BatchNorm(cout, dtype=dtype), activation)


class ResidualBlock(nnx.Module):
    """`relu(units(x) + shortcut(x))`, with a slot before both."""

    def __init__(self, units: list[nnx.Module], shortcut: nnx.Module | None):
        self.before = nnx.data(None)
        self.units = nnx.List(units)
        self.shortcut = nnx.data(shortcut)

    def __call__(self, x: Frames) -> Frames:
        if self.before is not None:
            x = self.before(x)
        y = x
        for unit in self.units:
            y = unit(y)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return y.like(nnx.relu(y.data + shortcut.data))


def basic_units(cin, width, stride, unit):
    """Two 3x3 convolutions: `[(in, out, unit), ...]`."""
    return [
        (cin, width, unit(cin, width, 3, stride)),
        (width, width, unit(width, width, 3, activation=None)),
    ]


def bottleneck_units(cin, width, stride, unit):
    """1x1 down, 3x3 with the stride, 1x1 up to four times the width."""
    return [
        (cin, width, unit(cin, width, 1)),
        (width, width, unit(width, width, 3, stride)),
        (width, 4 * width, unit(width, 4 * width, 1, activation=None)),
    ]


class ResNet(nnx.Module):
    """Clips `[B, T, H, W, in_channels]` to logits `[B, num_classes]`.

    The head works frame by frame (global average pool, dropout, linear) and the
    logits are averaged over frames, TSN's consensus.

    Args:
      scheme: how time is mixed (`vidshift.shifts`).
      blocks: residual blocks a stage.
      block_units: `basic_units` or `bottleneck_units`.
      width: channels of the first stage's 3x3 convolutions; doubles at each stage.
      small_stem: a 3x3 convolution of stride 2 instead of 7x7 and max pooling, for
        sides of 32 to 64 pixels.
      dropout: share of pooled features dropped in training.
      dtype: compute type; parameters and logits are float32.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        blocks,
        block_units,
        width=64,
        small_stem=False,
        num_classes: int,
        num_frames: int,
        in_channels=3,
        dropout=0.0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a number in [0, 1), got {dropout!r}")
        unit = partial(conv_unit, dtype=dtype, rngs=rngs)
        self.stem = unit(in_channels, width, 3 if small_stem else 7, 2)
        self.max_pool = not small_stem
        stages, cin = [], width
        for stage, length in enumerate(blocks):
            built = []
            for block in range(length):
                stride = 2 if stage > 0 and block == 0 else 1
                parts = block_units(cin, width * 2**stage, stride, unit)
                cout = parts[-1][1]
                place = partial(Site, stage, block, length, units=len(parts))
                units = [
                    scheme(place(unit=i, in_channels=ci, out_channels=co), module)
                    for i, (ci, co, module) in enumerate(parts)
                ]
                shortcut = None
                if stride != 1 or cin != cout:
                    shortcut = unit(cin, cout, 1, stride, activation=None)
                site = place(unit=None, in_channels=cin, out_channels=cout)
                built.append(scheme(site, ResidualBlock(units, shortcut)))
                cin = cout
            stages.append(nnx.List(built))
        self.stages = nnx.List(stages)
        self.dropout = nnx.Dropout(dropout, deterministic=True)
        # N(0, 0.001) and zero bias: the official initialisation of a new head.
        self.fc = nnx.Linear(
            cin,
            num_classes,
            kernel_init=nnx.initializers.normal(0.001),
            dtype=dtype,
            rngs=rngs,
        )
        self.in_channels = in_channels
        self.num_frames = num_frames
        self.num_classes = num_classes
        self.dtype = dtype

    def features(self, clips: jax.Array) -> jax.Array:
        """`[B, T, H, W, in_channels]` to the last stage's `[B, T, H/32, W/32, C]`.

        Rounded up; H/8 and W/8 with three stages and a small stem.
        """
        return self._features(clips).clips()

    def _features(self, clips: jax.Array) -> Frames:
        if clips.ndim != 5 or clips.shape[-1] != self.in_channels or 0 in clips.shape:
            raise ValueError(
                f"clips must be [B, T, H, W, {self.in_channels}], got {clips.shape}"
            )
        x = self.stem(Frames.of(clips.astype(self.dtype)))
        if self.max_pool:
            x = max_pool(x, 3, 2, 1)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return x

    def frame_logits(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits of every frame, float32 `[B, T, num_classes]`."""
        features = self._features(clips)
        pooled = features.clip_vectors(features.data.mean((0, 1)))
        return self.fc(self.dropout(pooled, rngs=rngs)).astype(jnp.float32)

    def __call__(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits float32 `[B, num_classes]`; `rngs` is dropout's key in training."""
        return self.frame_logits(clips, rngs=rngs).mean(1)


# One basic block a stage and a small stem: for tests and the quick start.
resnet_tiny = partial(
    ResNet, blocks=(1, 1, 1), block_units=basic_units, width=16, small_stem=True
)
resnet18 = partial(ResNet, blocks=(2, 2, 2, 2), block_units=basic_units)
resnet34 = partial(ResNet, blocks=(3, 4, 6, 3), block_units=basic_units)
resnet50 = partial(ResNet, blocks=(3, 4, 6, 3), block_units=bottleneck_units)
resnet101 = partial(ResNet, blocks=(3, 4, 23, 3), block_units=bottleneck_units)
