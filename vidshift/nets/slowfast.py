"""Slow and SlowFast networks of ResNet-50 (Feichtenhofer et al., ICCV 2019).

Where the paper leaves it open, the form is that of the official code (SlowFast's
repository), whose counts of parameters it has. The networks mix time by themselves and
have no site for a scheme.

Inputs that a narrower Slow pathway (A3D) keeps in full come first: a fused block reads
[lateral, slow] channels and the classifier [fast, slow], the other way round than the
official code, so that a narrower network's weights are leading slices of the full ones.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.pool import max_pool
from vidshift.layers.width import kept
from vidshift.nets.clip_network import ClipNetwork
from vidshift.nets.resnet import ResidualBlock
from vidshift.nets.units import conv_unit, in_order
from vidshift.shifts import Scheme, Unit

RESNET50 = (3, 4, 6, 3)
# Frames that the first convolution of a block sees, by stage.
SLOW_TIME = (1, 1, 3, 3)
FAST_TIME = (3, 3, 3, 3)


class Channels(NamedTuple):
    """Channels of a pathway: after the stem, within and after each stage's blocks."""

    stem: int
    inner: tuple[int, ...]
    outer: tuple[int, ...]

    @classmethod
    def of(cls, base: int, width: float = 1.0, *, stages: int = 4) -> "Channels":
        """Channels of a ResNet of that base, each number slimmed to `width` (A3D)."""
        inner = [base * 2**stage for stage in range(stages)]
        slim = partial(kept, width=width)
        return cls(
            slim(base), tuple(map(slim, inner)), tuple(slim(4 * c) for c in inner)
        )


# The Fast pathway has an eighth of the Slow one's channels, and a lateral convolution
# gives twice as many as it reads: those after the stem and the stages 0, 1 and 2.
FAST = Channels.of(8)
LATERAL = tuple(2 * c for c in (FAST.stem, *FAST.outer[:3]))


def stem_and_stages(
    channels: Channels, *, stem, time, blocks, lateral=(0,) * 4, in_channels, unit
):
    """A pathway's layers, named as a ResNet's, whose weights may initialise them."""
    first = unit(in_channels, channels.stem, stem, (1, 2, 2))
    stages, cin = [], channels.stem
    for stage, (inner, outer) in enumerate(zip(channels.inner, channels.outer)):
        cin, built = cin + lateral[stage], []
        for block in range(blocks[stage]):
            stride = (1, 2, 2) if stage > 0 and block == 0 else (1, 1, 1)
            units = [
                unit(cin, inner, (time[stage], 1, 1)),
                unit(inner, inner, (1, 3, 3), stride),
                unit(inner, outer, (1, 1, 1), activation=None),
            ]
            # A block starts as its shortcut (Goyal et al., 2017).
            units[-1].norm.scale.set_value(jnp.zeros(outer))
            shortcut = None
            if block == 0:
                shortcut = unit(cin, outer, (1, 1, 1), stride, activation=None)
            built.append(ResidualBlock(units, shortcut))
            cin = outer
        stages.append(nnx.List(built))
    return first, nnx.List(stages)


def stem_and_pool(stem: Unit, clips: jax.Array) -> Frames:
    return max_pool(stem(Frames.of(clips)), 3, 2, 1)


class Slow(ClipNetwork):
    """The Slow pathway alone: a ResNet that sees three frames in its last two stages.

    Args:
      scheme: not used; there is no site.
      blocks: residual blocks of the stages; the last two see three frames.
      base: channels of the stem and of the first stage's inner convolutions.
      small_stem: a 3x3 convolution of stride 2 instead of 7x7 and max pooling.
      width: share of the channels that are kept, each number a multiple of 8 (A3D).
      **network: see `ClipNetwork`.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        blocks=RESNET50,
        base=64,
        small_stem=False,
        width=1.0,
        in_channels=3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        del scheme
        channels = Channels.of(base, width, stages=len(blocks))
        self.max_pool = not small_stem
        self.stem, self.stages = stem_and_stages(
            channels,
            stem=(1, 3, 3) if small_stem else (1, 7, 7),
            time=SLOW_TIME[-len(blocks) :],
            blocks=blocks,
            in_channels=in_channels,
            unit=partial(conv_unit, dtype=dtype, rngs=rngs),
        )
        super().__init__(
            channels.outer[-1],
            in_channels=in_channels,
            dtype=dtype,
            rngs=rngs,
            **network,
        )

    def pathways(self, clips: jax.Array) -> list[tuple[Frames, int]]:
        x = self.stem(Frames.of(clips))
        if self.max_pool:
            x = max_pool(x, 3, 2, 1)
        x = in_order(self.stages, x)
        return [(x, self.num_frames)]


class Pathway(nnx.Module):
    """A pathway of SlowFast."""

    def __init__(self, channels: Channels, **layers):
        self.stem, self.stages = stem_and_stages(channels, **layers)


class SlowFast(ClipNetwork):
    """A Slow pathway with few frames that also reads what a Fast one made of all.

    Clips hold the Fast pathway's frames, a multiple of `alpha`; of T frames the Slow
    pathway takes `T // alpha`, evenly from the first to the last, rounded down. A lower
    `resolution` is the Slow pathway's alone.

    Args:
      scheme: not used; there is no site.
      alpha: frames of the Fast pathway for each of the Slow one's.
      lateral_time: frames that a lateral convolution sees.
      blocks: residual blocks of the four stages, in both pathways.
      width: share of the Slow pathway's channels that are kept, each number a multiple
        of 8; the Fast pathway and the lateral convolutions stay whole (A3D).
      **network: see `ClipNetwork`.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        alpha: int,
        lateral_time: int,
        blocks=RESNET50,
        width=1.0,
        num_frames: int,
        in_channels=3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        del scheme
        if num_frames % alpha:
            raise ValueError(
                f"num_frames must be a multiple of {alpha}, got {num_frames}"
            )
        self.alpha = alpha
        slow = Channels.of(64, width)
        unit = partial(conv_unit, dtype=dtype, rngs=rngs)
        pathway = partial(Pathway, blocks=blocks, in_channels=in_channels, unit=unit)
        self.slow = pathway(slow, stem=(1, 7, 7), time=SLOW_TIME, lateral=LATERAL)
        self.fast = pathway(FAST, stem=(5, 7, 7), time=FAST_TIME)
        self.lateral = nnx.List(
            unit(c // 2, c, (lateral_time, 1, 1), (alpha, 1, 1)) for c in LATERAL
        )
        super().__init__(
            FAST.outer[-1] + slow.outer[-1],
            in_channels=in_channels,
            dtype=dtype,
            rngs=rngs,
            num_frames=num_frames,
            **network,
        )

    def pathways(self, clips: jax.Array) -> list[tuple[Frames, int]]:
        frames, slow_frames = clips.shape[1], clips.shape[1] // self.alpha
        if frames % self.alpha:
            raise ValueError(
                f"clips must have a multiple of {self.alpha} frames, got {frames}"
            )
        taken = np.arange(slow_frames) * (frames - 1) // max(slow_frames - 1, 1)
        slow = stem_and_pool(self.slow.stem, self.resolution.lower(clips[:, taken]))
        fast = stem_and_pool(self.fast.stem, clips)
        for lateral, slow_stage, fast_stage in zip(
            self.lateral, self.slow.stages, self.fast.stages
        ):
            # At full resolution, then what the Slow pathway sees of it (A3D, 3.2).
            from_fast = self.resolution.fit(lateral(fast), slow)
            slow = slow.like(jnp.concatenate([from_fast.data, slow.data], -1))
            for block in slow_stage:
                slow = block(slow)
            for block in fast_stage:
                fast = block(fast)
        return [(fast, self.num_frames), (slow, self.num_frames // self.alpha)]

    def shown(self, clips: jax.Array) -> jax.Array:
        return clips  # the Fast pathway sees all


# Three blocks and a small stem: for tests and sides of 24 to 64 pixels.
slow_tiny = partial(Slow, blocks=(1, 1, 1), base=16, small_stem=True)
# Named frames x step of the Slow pathway. With a clip of 64 frames the Fast pathway of
# both takes every second.
slow_8x8_r50 = partial(Slow)
slowfast_4x16_r50 = partial(SlowFast, alpha=8, lateral_time=5)
slowfast_8x8_r50 = partial(SlowFast, alpha=4, lateral_time=7)
