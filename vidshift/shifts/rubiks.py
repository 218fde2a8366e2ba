"""RubiksNet's shifts (Fan et al., ECCV 2020, section 3.1): by learned distances in time
and space, by rounded ones, by fixed ones. Those by attention are in `attention.py`.

All take and give clips `[B, T, H, W, C]`, in a stream a frame of each, `[H, W, B, C]`. A
positive distance reads later frames and places further down and to the right.

A causal one, which nobody has published, reads the past alone: its learned distance t in
time acts as -|t|. Clamped at zero instead, a channel that is drawn or pushed beyond it
would act as zero whatever its distance, learn nothing and never come back; under -|t| every
channel learns, and in a network that was trained both ways what a channel reads of the
future becomes as much of the past.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from vidshift.kernels import shift3d, shift3d_conv
from vidshift.kernels.interpolated.taps import nearest
from vidshift.shifts.in_stream import (
    MixOfPast,
    ShiftInSpace,
    concrete,
    interpolation,
)
from vidshift.shifts.options import check_choice, check_flag, check_number
from vidshift.shifts.site import FrameMixer

ROWS = ("learned", "fixed")
# The official code has no bound. A kernel for a TPU needs one, and this is the widest for
# which one is chosen; shifts start within 1 and learn at a hundredth of the rate.
MAX_SHIFT = 4.0


class ShiftParam(nnx.Param):
    """A learned shift, in places: rows t, h, w, those that are learned, by channel."""


def tsm_row(channels: int, *, causal: bool = False) -> Int[np.ndarray, "1 C"]:
    """TSM's distances in time: +1 and -1 for an eighth of the channels each, then 0.

    Causal TSM's are -1 for the first eighth.
    """
    fold = channels // 8
    row = np.zeros((1, channels), np.int32)
    if causal:
        row[:, :fold] = -1
    else:
        row[:, :fold], row[:, fold : 2 * fold] = 1, -1
    return row


def learned_rows(time: str, space: str) -> tuple[str, ...]:
    """Names the rows of a shift's parameter, of t, h and w those that are learned."""
    return ("t",) * (time == "learned") + ("h", "w") * (space == "learned")


def group_rows(channels: int, side: int = 3) -> Int[np.ndarray, "2 C"]:
    """ShiftNet's distances in space, rows h and w: channels take turns in a window.

    The official code's "group3". It asks for a multiple of `side`^2 channels; with others
    some places of the window have one channel more.
    """
    c = np.arange(channels)
    rows = [c % side - side // 2, c // side % side - side // 2]
    return np.stack(rows).astype(np.int32)


def first_time_row(
    init: str, drawn: jax.Array, rngs: nnx.Rngs, *, causal: bool = False
) -> jax.Array:
    """A learned row of distances in time to start from, float32 `[C]`.

    The official code's names for a 2-D network that becomes a 3-D one
    (`create_3d_from_2d`): "uni<a>" is U(-a, a), "tsm" TSM's pattern, "tsm-g<std>" that
    plus a normal of so wide a spread.

    Args:
      drawn: from U(-1, 1), `[C]`.
      causal: TSM's pattern is that of causal TSM.

    Raises:
      ValueError: none of these names.
    """
    found = re.fullmatch(r"(uni|tsm-g)(\d+\.?\d*|\.\d+)|tsm", str(init))
    if not found:
        raise ValueError(
            'time_init must be "uni<number>", "tsm" or "tsm-g<number>", such as '
            f'"uni1", got {init!r}'
        )
    if found[1] == "uni":
        return float(found[2]) * drawn
    pattern = jnp.asarray(tsm_row(len(drawn), causal=causal)[0], drawn.dtype)
    if found[1] is None:
        return pattern
    return pattern + float(found[2]) * jax.random.normal(rngs.params(), drawn.shape)


class Shift3D(FrameMixer):
    """`vidshift.kernels.shift3d` as a layer, with the 1x1 convolution after it if given one.

    Args:
      channels: C.
      stride: in space.
      time, space: "learned", drawn from U(-1, 1), or "fixed": TSM's and ShiftNet's
        pattern, made from the number of channels when it is needed. The parameter
        `shift`, `[rows, C]`, has those of the rows t, h, w that are learned; where none
        is, it is None, and whole frames and pixels are moved. `time` may be "none".
      time_init: what a learned row in time starts from (`first_time_row`).
      causal: a learned distance t in time acts as -|t|, and the fixed ones are causal
        TSM's.
      quantize: round the shift; its gradient is that of the shift before rounding.
      max_shift: largest distance of a learned shift, in places. One beyond it acts as it
        and does not learn.

    Raises:
      ValueError: an option that is none of these.
    """

    def __init__(
        self,
        channels: int,
        *,
        stride: int = 1,
        time: str = "learned",
        space: str = "learned",
        time_init: str = "uni1",
        causal: bool = False,
        quantize: bool = False,
        max_shift: float = MAX_SHIFT,
        rngs: nnx.Rngs,
    ):
        check_choice("time", time, (*ROWS, "none"))
        check_choice("space", space, ROWS)
        check_number("max_shift", max_shift, above=0)
        check_flag("causal", causal)
        rows = len(learned_rows(time, space))
        self.shift = nnx.data(None)
        if rows:
            draw = jax.random.uniform(rngs.params(), (rows, channels), minval=-1.0)
            if time == "learned":
                first = first_time_row(time_init, draw[0], rngs, causal=causal)
                draw = draw.at[0].set(first)
            self.shift = ShiftParam(draw)
        self.channels = channels
        self.stride = stride
        self.time, self.space = time, space
        self.causal = causal and time != "none"
        self.quantize = quantize
        # The patterns go no further than 1.
        bounds = {"learned": float(max_shift), "fixed": 1.0, "none": 0.0}
        self.max_shift = (bounds[time], bounds[space], bounds[space])
        # In a stream.
        self.in_space = self.in_time = nnx.data(None)

    def rows(self) -> Num[Array, "3 C"]:
        """The shift, rows t, h, w: integers where nothing is learned."""
        learned = None if self.shift is None else self.shift[...]
        t, hw = tsm_row(self.channels, causal=self.causal), group_rows(self.channels)
        if self.time != "fixed":
            t = learned[:1] if self.time == "learned" else 0 * t
        if self.causal and self.time == "learned":
            t = -jnp.abs(t)  # JAX gives it one side's slope at zero: no shift is stuck
        if self.space == "learned":
            hw = learned[-2:]
        return jnp.concatenate([t, hw])

    def acting(self) -> Float[np.ndarray, "3 C"]:
        """The shift as it acts: bounded, and rounded where it is."""
        bound = np.asarray(self.max_shift, np.float32)[:, None]
        rows = np.asarray(self.rows(), np.float32).clip(-bound, bound)
        return np.asarray(nearest(rows)) if self.quantize else rows

    def start_stream(self) -> None:
        if self.shift is not None:
            concrete(self.shift)
        t, *hw = self.acting()
        self.in_space = ShiftInSpace(np.stack(hw), self.stride)
        # Frames are smaller after a stride, so space comes first.
        before = range(0, -int(np.ceil(-t.min())) - 1, -1)
        self.in_time = MixOfPast(interpolation(t, before))
        self.shift = nnx.data(None)

    def __call__(
        self,
        clips: Float[Array, "*places C"],
        weight: Float[Array, "C K"] | None = None,
    ) -> Float[Array, "*places2 K"]:
        """The clips shifted, and if there is a weight times it: then in one kernel."""
        if self.in_time is not None:
            y = self.in_time(self.in_space(clips))
            return y if weight is None else y @ weight.astype(y.dtype)
        options = {
            "stride": (1, self.stride, self.stride),
            "quantize": self.quantize,
            "max_shift": self.max_shift,
        }
        if weight is None:
            return shift3d(clips, self.rows(), **options)
        return shift3d_conv(clips, self.rows(), weight, **options)


class Shift2D(Shift3D):
    """The shift in space alone: `shift` is `[2, C]`, rows h and w.

    Its distance in time is zero and bounded by zero: no kernel looks for other frames.
    """

    def __init__(self, channels: int, **options):
        super().__init__(channels, time="none", **options)
