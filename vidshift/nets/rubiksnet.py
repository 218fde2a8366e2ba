"""RubiksNet (Fan et al., ECCV 2020): learned shifts and 1x1 convolutions, nothing else.

The form is the official code's: blocks normalise before they convolve, the stride of a
stage lies in its first shift, and the Small tier has squeeze-and-excitation, which the
paper does not mention and without which its 3.6 M parameters do not come out.

In between features are clips `[B, T, H, W, C]`, or in a stream a frame of each,
`[H, W, B, C]`; a layer can tell by the number of axes.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.folded import folded_layers
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.norm import BatchNorm
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.units import in_order
from vidshift.shifts import Scheme, Site
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.options import check_choice, check_flag
from vidshift.shifts.rubiks import MAX_SHIFT, ROWS, Shift2D, Shift3D, learned_rows
from vidshift.shifts.temporal import TSN

# `time_init` of a network that takes it or leaves it, and what it stands for: TSM's pattern
# and the noise that keeps shifts off the whole numbers, where the gradient is that of one
# side.
AUTO, AUTO_TIME_INIT = "auto", "tsm-g0.1"


class Variant(NamedTuple):
    """The way in which a network's blocks mix time.

    in_time: by their own shifts, which are 3-D; `time` and `time_init` are its options.
    quantize: the shifts are rounded.
    attention: by an `AttentionShift` before the first convolution, which training turns
      into a `WholeShift`; `taps`, `attention_init` and `hardened` are its options.
    sites: by the scheme, which is asked at blocks and at their first unit.
    """

    in_time: bool = False
    quantize: bool = False
    attention: bool = False
    sites: bool = False


VARIANTS = {
    "interpolated": Variant(in_time=True),
    "quantized": Variant(in_time=True, quantize=True),
    "attention": Variant(attention=True),
    # The image network that the others start from.
    "spatial": Variant(sites=True),
}


@dataclasses.dataclass(kw_only=True)
class ShiftOptions:
    """Options of a network's shifts, by their names in `vidshift.create`.

    Args:
      variant: a name in `VARIANTS`: the learned 3-D shift, the same rounded, an attention
        over frames with a 2-D shift, or the 2-D shift alone.
      space, time: "learned" or "fixed" (the paper's Table 4): ShiftNet's and TSM's
        distances. `time` is of the first two variants.
      time_init: start of learned distances in time, see
        `vidshift.shifts.rubiks.first_time_row`; of the first two variants. "auto" is
        "tsm-g0.1" where distances in time are learned, and goes with every other
        network too, where it asks for nothing.
      causal: read no later frame (ours: no such network has been published). Learned
        distances in time act as -|t|, fixed ones are causal TSM's, and the attention
        chooses from the present frame and the `taps - 1` before it. Parameters have the
        same shapes.
      taps: frames that the attention chooses from, an odd number.
      attention_init: "paper" or "code" (`vidshift.shifts.attention.INITS`).
      hardened: the "attention" variant after training, whose attention has become whole
        shifts (`vidshift.shifts.attention.harden`).
      max_shift: of learned shifts, in places (`vidshift.shifts.rubiks.Shift3D`).

    Raises:
      ValueError: a value that an option does not take, or an option of another variant.
    """

    variant: str = "interpolated"
    space: str = "learned"
    time: str = "learned"
    time_init: str | None = None
    causal: bool = False
    taps: int | None = None
    attention_init: str | None = None
    hardened: bool = False
    max_shift: float = MAX_SHIFT

    def __post_init__(self):
        check_choice("variant", self.variant, tuple(VARIANTS))
        check_choice("time", self.time, ROWS)
        self.kind = VARIANTS[self.variant]
        in_time = self.kind.in_time
        if self.time == "fixed" and not in_time:
            raise ValueError(
                f"time='fixed' is of the variants 'interpolated' and 'quantized', whose "
                f"shift has time; variant={self.variant!r} has none to fix"
            )
        learned = in_time and self.time == "learned"
        if self.time_init == AUTO:
            self.time_init = AUTO_TIME_INIT if learned else None
        if self.time_init is not None and not learned:
            raise ValueError(
                f"time_init={self.time_init!r} is of the variants 'interpolated' and "
                f"'quantized' with a learned time, got {self.variant!r} with "
                f"time={self.time!r}"
            )
        of_attention = self.taps is not None or self.attention_init is not None
        if not self.kind.attention and (of_attention or self.hardened):
            raise ValueError(
                "taps, attention_init and hardened are of the variant 'attention', got "
                f"variant={self.variant!r}"
            )
        check_flag("hardened", self.hardened)
        check_flag("causal", self.causal)

    def learned_rows(self) -> tuple[str, ...]:
        """Names the rows of each block's parameter `shift`."""
        return learned_rows(self.time if self.kind.in_time else "none", self.space)

    def shift(self, channels: int, stride: int, rngs: nnx.Rngs) -> Shift3D:
        """A new shift of a block."""
        shared = {"stride": stride, "space": self.space, "max_shift": self.max_shift}
        if not self.kind.in_time:
            return Shift2D(channels, **shared, rngs=rngs)
        return Shift3D(
            channels,
            time=self.time,
            time_init="uni1" if self.time_init is None else self.time_init,
            causal=self.causal,
            quantize=self.kind.quantize,
            **shared,
            rngs=rngs,
        )

    def attention(
        self, channels: int, rngs: nnx.Rngs
    ) -> AttentionShift | WholeShift | None:
        """A new attention of a block, hardened or not, in a variant that has one."""
        if not self.kind.attention:
            return None
        options = {"taps": self.taps, "init": self.attention_init}
        options = {name: value for name, value in options.items() if value is not None}
        if not self.hardened:
            return AttentionShift(channels, causal=self.causal, **options, rngs=rngs)
        options.pop("init", None)
        return WholeShift(channels, causal=self.causal, **options)


SHIFT_OPTIONS = tuple(field.name for field in dataclasses.fields(ShiftOptions))


def in_slot(layer: nnx.Module | None, clips: jax.Array) -> jax.Array:
    """Clips after the layer that a scheme has put in a slot; layers take `Frames`."""
    if layer is None:
        return clips
    if clips.ndim == 4:
        return layer(Frames(clips, frames=1)).data
    if getattr(layer, "takes_clips", False):  # no reordering around it
        return layer(clips)
    return layer(Frames.of(clips)).clips()


def sides(clips: jax.Array) -> tuple[int, int]:
    """The axes of height and width."""
    return (0, 1) if clips.ndim == 4 else (2, 3)


class PointUnit(nnx.Module):
    """`relu(norm(conv(x)))` of clips by a 1x1 convolution, with the slots of `Unit`."""

    def __init__(self, conv: nnx.Linear, norm: BatchNorm):
        self.before = nnx.data(None)
        self.conv = conv
        self.between = nnx.data(None)
        self.norm = norm
        self.after = nnx.data(None)

    def __call__(self, clips: jax.Array) -> jax.Array:
        clips = in_slot(self.before, clips)
        if self.between is not None:
            return self.finish(self.conv(clips))
        conv, norm = folded_layers(self.conv, self.norm)
        return in_slot(self.after, nnx.relu(norm(conv(clips))))

    def finish(self, clips: jax.Array) -> jax.Array:
        """Returns features after the norm and the activation."""
        y = self.norm(in_slot(self.between, clips))
        return in_slot(self.after, nnx.relu(y))


class SqueezeExcite(nnx.Module):
    """Channels weighted by what their frame's means say (Hu et al., 2018), no biases."""

    def __init__(self, channels: int, linear, *, reduction: int = 12):
        self.down = linear(channels, channels // reduction)
        self.up = linear(channels // reduction, channels)

    def __call__(self, clips: jax.Array) -> jax.Array:
        means = clips.mean(sides(clips), keepdims=True)
        return clips * nnx.sigmoid(self.up(nnx.relu(self.down(means))))


class ShiftBlock(nnx.Module):
    """`out(shift(unit(a))) + shortcut(a)` with `a = relu(norm(x))`; clips in and out.

    The shortcut is x itself where neither the channels nor the side change.
    """

    def __init__(
        self,
        cin,
        width,
        unit: nnx.Module,
        options,
        *,
        stride,
        squeeze,
        linear,
        norm,
        rngs,
    ):
        self.before = nnx.data(None)
        self.norm = norm(cin)
        self.unit = unit
        self.stride = stride
        self.shift = options.shift(width, stride, rngs)
        self.out = linear(width, width)
        alike = stride == 1 and cin == width
        self.shortcut = nnx.data(None if alike else linear(cin, width))
        self.attention = nnx.data(options.attention(cin, rngs))
        self.se = nnx.data(SqueezeExcite(width, linear) if squeeze else None)
        self.after = nnx.data(None)

    def __call__(self, clips: jax.Array) -> jax.Array:
        clips = in_slot(self.before, clips)
        a = nnx.relu(self.norm(clips))
        shortcut = clips
        if self.shortcut is not None:
            places = [slice(None)] * a.ndim
            for side in sides(a):
                places[side] = slice(None, None, self.stride)
            shortcut = self.shortcut(a[tuple(places)])
        y = (
            self.unit(a)
            if self.attention is None
            else self.attention.into(self.unit, a)
        )
        if self.se is None:
            y = self.shift(y, self.out.kernel[...])
        else:
            y = self.out(self.se(self.shift(y)))
        return in_slot(self.after, y + shortcut)


class Size(NamedTuple):
    """Blocks and channels of each stage; `squeeze` after each shift.

    The first stage keeps the stem's side, the others halve it.
    """

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    squeeze: bool = False


class RubiksNet(FrameNetwork):
    """A network of shifts over clips; see `FrameNetwork` for the head.

    Args:
      scheme: how time is mixed besides; the "spatial" variant alone asks it.
      **options: see `ShiftOptions` and `VideoNetwork`.
    """

    def __init__(
        self,
        scheme: Scheme,
        size: Size,
        *,
        in_channels: int = 3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **options,
    ):
        network = {k: v for k, v in options.items() if k not in SHIFT_OPTIONS}
        options = {k: v for k, v in options.items() if k in SHIFT_OPTIONS}
        options = ShiftOptions(**options)
        scheme = scheme if options.kind.sites else TSN()
        shared = {"kernel_init": he_fan_out, "dtype": dtype, "rngs": rngs}
        linear = partial(nnx.Linear, use_bias=False, **shared)
        norm = partial(BatchNorm, dtype=dtype)
        layers = {"linear": linear, "norm": norm, "rngs": rngs}
        cin = size.widths[0]
        around = ((1, 1), (1, 1))
        self.stem = FrameConv(
            in_channels, cin, (3, 3), (2, 2), padding=around, use_bias=False, **shared
        )
        stages = []
        for stage, (length, width) in enumerate(zip(*size[:2], strict=True)):
            blocks = []
            for block in range(length):
                site = partial(Site, stage, block, length, units=2)
                site = partial(site, in_channels=cin, out_channels=width)
                unit = PointUnit(linear(cin, width), norm(width))
                unit = scheme.place(site(unit=0), unit)
                stride = 2 if stage > 0 and block == 0 else 1
                form = {"stride": stride, "squeeze": size.squeeze}
                new = ShiftBlock(cin, width, unit, options, **form, **layers)
                blocks.append(scheme.place(site(unit=None), new))
                cin = width
            stages.append(nnx.List(blocks))
        self.stages = nnx.List(stages)
        self.norm = norm(cin)
        self.streaming = False
        self.kind = options.kind
        self.max_shift = float(options.max_shift)
        super().__init__(
            cin, in_channels=in_channels, dtype=dtype, rngs=rngs, **network
        )

    def start_stream(self) -> None:
        self.streaming = True

    def body(self, x: Frames) -> Frames:
        """To `[H/32, W/32]`, rounded up; H/8 with three stages.

        In between features are clips, which is the order that the shift's kernels take,
        or in a stream as they are here.
        """
        x = self.stem(x)
        clips = x.data if self.streaming else x.clips()
        clips = in_order(self.stages, clips)
        clips = nnx.relu(self.norm(clips))
        return x.like(clips) if self.streaming else Frames.of(clips)


def _tier(width: int, blocks: tuple[int, ...], **options):
    widths = tuple(width * n for n in (1, 1, 2, 4, 8))
    return partial(RubiksNet, size=Size(blocks, widths, **options))


# For tests and clips of 32 pixels. Its channels fill ShiftNet's 3x3 windows evenly.
rubiksnet_micro = partial(RubiksNet, size=Size((1, 1, 1), (27, 54, 108)), max_shift=2.0)
# Table A1, and before it the stage of the stem's side.
rubiksnet_tiny = _tier(54, (1, 3, 4, 6, 3))
rubiksnet_small = _tier(72, (1, 3, 4, 6, 3), squeeze=True)
rubiksnet_medium = _tier(72, (1, 3, 4, 23, 3))
rubiksnet_large = _tier(72, (1, 3, 8, 36, 3))
