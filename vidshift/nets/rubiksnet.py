"""RubiksNet (Fan et al., ECCV 2020): learned shifts and 1x1 convolutions, nothing else.

The form is the official code's: blocks normalise before they convolve, the stride of a
stage lies in its first shift, and the Small tier has squeeze-and-excitation, which the
paper does not mention and without which its 3.6 M parameters do not come out.

In between features are clips `[B, T, H, W, C]`, or in a stream a frame of each,
`[H, W, B, C]`; a layer can tell by the number of axes.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.norm import BatchNorm
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.units import he_fan_out
from vidshift.shifts import Scheme, Site
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.options import check_choice, check_flag
from vidshift.shifts.rubiks import (
    MAX_SHIFT,
    ROWS,
    Shift2D,
    Shift3D,
)
from vidshift.shifts.temporal import TemporalShift

# How time is mixed; "spatial" is the image network that the others start from.
VARIANTS = ("interpolated", "quantized", "attention", "spatial")


def in_slot(layer: nnx.Module | None, clips: jax.Array) -> jax.Array:
    """What a scheme has put in a slot, on clips; its layers take `Frames`."""
    if layer is None:
        return clips
    if clips.ndim == 4:
        return layer(Frames(clips, frames=1)).data
    if isinstance(layer, TemporalShift):  # takes either: no reordering around it
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
        return self.finish(self.conv(in_slot(self.before, clips)))

    def finish(self, clips: jax.Array) -> jax.Array:
        """What follows the convolution."""
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
        norm: BatchNorm,
        unit: nnx.Module,
        shift: Shift3D,
        out: nnx.Linear,
        *,
        shortcut: nnx.Linear | None,
        attention: AttentionShift | WholeShift | None,
        se: SqueezeExcite | None,
    ):
        self.before = nnx.data(None)
        self.norm = norm
        self.attention = nnx.data(attention)
        self.unit = unit
        self.stride = shift.stride
        self.shift = shift
        self.se = nnx.data(se)
        self.out = out
        self.shortcut = nnx.data(shortcut)
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
        if isinstance(self.attention, WholeShift):
            y = self.unit.finish(self.attention(a, self.unit.conv.kernel[...]))
        else:
            y = self.unit(a if self.attention is None else self.attention(a))
        if self.se is None:
            y = self.shift(y, self.out.kernel[...])
        else:
            y = self.out(self.se(self.shift(y)))
        return in_slot(self.after, y + shortcut)


class RubiksNet(FrameNetwork):
    """A network of shifts over clips; see `FrameNetwork` for the head.

    Args:
      scheme: how time is mixed besides; the "spatial" variant alone asks it, at its
        blocks and at the first of their two convolutions.
      blocks: of each stage; the first stage keeps the stem's side, the others halve it.
      widths: channels of each stage.
      squeeze: squeeze-and-excitation after each shift.
      variant: "interpolated", the learned 3-D shift; "quantized", the same, rounded;
        "attention", whose time is mixed by an `AttentionShift` before each block's first
        convolution and whose shift is 2-D; "spatial", the 2-D shift alone.
      space, time: "learned" or "fixed" (the paper's Table 4): ShiftNet's and TSM's
        distances. `time` is of the first two variants.
      time_init: what learned distances in time start from, see
        `vidshift.shifts.rubiks.first_time_row`; of the first two variants.
      causal: read no later frame (ours: no such network has been published). Learned
        distances in time act as -|t|, fixed ones are causal TSM's, and the attention
        chooses from the present frame and the `taps - 1` before it. Parameters have the
        same shapes.
      taps: frames that the attention chooses from, an odd number.
      attention_init: "paper" or "code" (`vidshift.shifts.attention.INITS`).
      hardened: the "attention" variant after training, whose attention has become whole
        shifts (`vidshift.shifts.attention.harden`).
      max_shift: of learned shifts, in places (`vidshift.shifts.rubiks.Shift3D`).
      dropout: share of pooled features dropped in training.
      dtype: compute type; parameters and logits are float32.

    Raises:
      ValueError: an option that is none of these, or a fixed time in a variant whose
        shift has none.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        blocks,
        widths,
        squeeze=False,
        variant="interpolated",
        space="learned",
        time="learned",
        time_init=None,
        causal=False,
        taps=None,
        attention_init=None,
        hardened=False,
        max_shift=MAX_SHIFT,
        num_classes: int,
        num_frames: int,
        in_channels=3,
        dropout=0.0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_choice("variant", variant, VARIANTS)
        check_choice("time", time, ROWS)
        in_3d = variant in ("interpolated", "quantized")
        if time == "fixed" and not in_3d:
            raise ValueError(
                f"time='fixed' is of the variants 'interpolated' and 'quantized', whose "
                f"shift has time; variant={variant!r} has none to fix"
            )
        if time_init is not None and not (in_3d and time == "learned"):
            raise ValueError(
                f"time_init={time_init!r} is of the variants 'interpolated' and "
                f"'quantized' with a learned time, got {variant!r} with time={time!r}"
            )
        of_attention = {"taps": taps, "init": attention_init}
        of_attention = {k: v for k, v in of_attention.items() if v is not None}
        if variant != "attention" and (of_attention or hardened):
            raise ValueError(
                "taps, attention_init and hardened are of the variant 'attention', got "
                f"variant={variant!r}"
            )
        check_flag("hardened", hardened)
        check_flag("causal", causal)
        of_attention["causal"] = causal
        new_attention = lambda channels: None
        if hardened:
            of_attention.pop("init", None)
            new_attention = partial(WholeShift, **of_attention)
        elif variant == "attention":
            new_attention = partial(AttentionShift, **of_attention, rngs=rngs)
        of_shift = {"space": space, "max_shift": max_shift, "rngs": rngs}
        if in_3d:
            quantize = variant == "quantized"
            of_shift |= {"time_init": "uni1" if time_init is None else time_init}
            of_shift |= {"causal": causal, "quantize": quantize}
            new_shift = partial(Shift3D, time=time, **of_shift)
        else:
            new_shift = partial(Shift2D, **of_shift)
        linear = partial(
            nnx.Linear, use_bias=False, kernel_init=he_fan_out, dtype=dtype, rngs=rngs
        )
        norm = partial(BatchNorm, dtype=dtype)
        cin = widths[0]
        self.stem = FrameConv(
            in_channels,
            cin,
            (3, 3),
            (2, 2),
            padding=((1, 1), (1, 1)),
            use_bias=False,
            kernel_init=he_fan_out,
            dtype=dtype,
            rngs=rngs,
        )
        stages = []
        for stage, (length, width) in enumerate(zip(blocks, widths, strict=True)):
            built = []
            for block in range(length):
                stride = 2 if stage > 0 and block == 0 else 1
                unit = PointUnit(linear(cin, width), norm(width))
                place = partial(
                    Site, stage, block, length, in_channels=cin, out_channels=width
                )
                if variant == "spatial":
                    unit = scheme(place(unit=0, units=2), unit)
                new = ShiftBlock(
                    norm(cin),
                    unit,
                    new_shift(width, stride=stride),
                    linear(width, width),
                    shortcut=linear(cin, width) if stride > 1 or cin != width else None,
                    attention=new_attention(cin),
                    se=SqueezeExcite(width, linear) if squeeze else None,
                )
                if variant == "spatial":
                    new = scheme(place(unit=None, units=2), new)
                built.append(new)
                cin = width
            stages.append(nnx.List(built))
        self.stages = nnx.List(stages)
        self.norm = norm(cin)
        self.streaming = False
        self.variant = variant
        self.max_shift = float(max_shift)
        super().__init__(
            cin,
            num_classes=num_classes,
            num_frames=num_frames,
            in_channels=in_channels,
            dropout=dropout,
            dtype=dtype,
            rngs=rngs,
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
        for stage in self.stages:
            for block in stage:
                clips = block(clips)
        clips = nnx.relu(self.norm(clips))
        return x.like(clips) if self.streaming else Frames.of(clips)


def _tier(width: int, blocks, **options):
    widths = tuple(width * n for n in (1, 1, 2, 4, 8))
    return partial(RubiksNet, blocks=blocks, widths=widths, **options)


# For tests and clips of 32 pixels. Its channels fill ShiftNet's 3x3 windows evenly.
rubiksnet_micro = partial(
    RubiksNet, blocks=(1, 1, 1), widths=(27, 54, 108), max_shift=2.0
)
# Table A1, and before it the stage of the stem's side.
rubiksnet_tiny = _tier(54, (1, 3, 4, 6, 3))
rubiksnet_small = _tier(72, (1, 3, 4, 6, 3), squeeze=True)
rubiksnet_medium = _tier(72, (1, 3, 4, 23, 3))
rubiksnet_large = _tier(72, (1, 3, 8, 36, 3))
