"""RubiksNet's shifts (Fan et al., ECCV 2020, section 3.1): by learned distances in time
and space, by rounded ones, by fixed ones, and by attention over the neighbouring frames.

All take and give clips `[B, T, H, W, C]`. A positive distance reads later frames and
places further down and to the right.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from kernels import shift3d, shift3d_conv
from vidshift.shifts.options import check_choice, check_number

ROWS = ("learned", "fixed")
# The official code has no bound. A kernel for a TPU needs one, and this is the widest for
# which one is chosen; shifts start within 1 and learn at a hundredth of the rate.
MAX_SHIFT = 4.0


class ShiftParam(nnx.Param):
    """A learned shift, in places: rows t, h, w, those that are learned, by channel."""


class Temperature(nnx.BatchStat):
    """A softmax' temperature: not trained, saved with the statistics, traced."""


def tsm_row(channels: int) -> Int[np.ndarray, "1 C"]:
    """TSM's distances in time: +1 and -1 for an eighth of the channels each, then 0."""
    fold = channels // 8
    row = np.zeros((1, channels), np.int32)
    row[:, :fold], row[:, fold : 2 * fold] = 1, -1
    return row


def group_rows(channels: int, side: int = 3) -> Int[np.ndarray, "2 C"]:
    """ShiftNet's distances in space, rows h and w: channels take turns in a window.

    The official code's "group3". It asks for a multiple of `side`^2 channels; with others
    some places of the window have one channel more.
    """
    c = np.arange(channels)
    rows = [c % side - side // 2, c // side % side - side // 2]
    return np.stack(rows).astype(np.int32)


class Shift3D(nnx.Module):
    """`kernels.shift3d` as a layer, with the 1x1 convolution after it if given one.

    Args:
      channels: C.
      stride: in space.
      time, space: "learned", drawn from U(-1, 1), or "fixed": TSM's and ShiftNet's
        pattern, made from the number of channels when it is needed. The parameter
        `shift`, `[rows, C]`, has those of the rows t, h, w that are learned; where none
        is, it is None, and whole frames and pixels are moved. `time` may be "none".
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
        quantize: bool = False,
        max_shift: float = MAX_SHIFT,
        rngs: nnx.Rngs,
    ):
        check_choice("time", time, (*ROWS, "none"))
        check_choice("space", space, ROWS)
        check_number("max_shift", max_shift, above=0)
        rows = (time == "learned") + 2 * (space == "learned")
        self.shift = nnx.data(None)
        if rows:
            draw = jax.random.uniform(rngs.params(), (rows, channels), minval=-1.0)
            self.shift = ShiftParam(draw)
        self.channels = channels
        self.stride = stride
        self.time, self.space = time, space
        self.quantize = quantize
        # The patterns go no further than 1.
        bounds = {"learned": float(max_shift), "fixed": 1.0, "none": 0.0}
        self.max_shift = (bounds[time], bounds[space], bounds[space])

    def rows(self) -> Num[Array, "3 C"]:
        """The shift, rows t, h, w: integers where nothing is learned."""
        learned = None if self.shift is None else self.shift[...]
        t, hw = tsm_row(self.channels), group_rows(self.channels)
        if self.time != "fixed":
            t = learned[:1] if self.time == "learned" else 0 * t
        if self.space == "learned":
            hw = learned[-2:]
        return jnp.concatenate([t, hw])

    def __call__(
        self,
        clips: Float[Array, "B T H W C"],
        weight: Float[Array, "C K"] | None = None,
    ) -> Float[Array, "B T H2 W2 K"]:
        """The clips shifted, and if there is a weight times it: then in one kernel."""
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


class AttentionShift(nnx.Module):
    """A soft choice of whole shifts in time: each channel mixes its neighbouring frames.

    `y[t] = sum over d of p[c, d + taps // 2] x[t + d]` for d from `-(taps // 2)`, with
    `p = softmax(w / (std(w) + 1e-6) / temperature)` over the taps and zero outside the
    clip. At a low temperature it is one shift by a whole number.

    The paper's equation 7 multiplies by the temperature, which its text and the official
    code, followed here, divide by. The standard deviation is the unbiased one.

    Args:
      channels: C.
      taps: odd, from 3: shifts by up to `taps // 2` frames each way.
      init: bounds of the weights' first uniform draw. The paper's (1, 1.05); the code's
        are (0, 1), which gives the same probabilities and smaller gradients.
      temperature: to start from.

    Raises:
      ValueError: taps that are even or too few.
    """

    def __init__(
        self,
        channels: int,
        *,
        taps: int = 3,
        init: tuple[float, float] = (1.0, 1.05),
        temperature: float = 2.0,
        rngs: nnx.Rngs,
    ):
        if taps < 3 or taps % 2 == 0:
            raise ValueError(f"taps must be an odd number from 3, got {taps}")
        low, high = init
        draw = jax.random.uniform(rngs.params(), (channels, taps), None, low, high)
        self.weight = nnx.Param(draw)
        self.temperature = Temperature(jnp.float32(temperature))

    def attention(self) -> Float[Array, "C taps"]:
        """The share of each tap, from the past on."""
        w = self.weight[...]
        spread = jnp.std(w, axis=1, keepdims=True, ddof=1)
        return jax.nn.softmax(w / (spread + 1e-6) / self.temperature[...], axis=1)

    def __call__(self, clips: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        attention = self.attention()
        frames, taps = clips.shape[1], attention.shape[1]
        around = [(0, 0)] * clips.ndim
        around[1] = (taps // 2, taps // 2)
        padded = jnp.pad(clips, around)
        # Sums are in float32, which XLA fuses with the casts: one read, one write.
        total = sum(
            padded[:, tap : tap + frames] * attention[:, tap].reshape(1, 1, 1, 1, -1)
            for tap in range(taps)
        )
        return total.astype(clips.dtype)
