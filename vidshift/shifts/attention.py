"""RubiksNet's attention over neighbouring frames, and the whole shifts it becomes.

RubiksShift-AQ (Fan et al., ECCV 2020, section 3.1). In training each channel mixes its
neighbouring frames by a softmax, whose temperature falls until one frame has it all;
after training (`harden`) that frame is moved, and nothing is multiplied.

Both layers take and give clips `[B, T, H, W, C]`, in a stream a frame of each,
`[H, W, B, C]`. A positive distance reads later frames. The taps are distances around zero,
or those up to zero where a layer is causal, which nobody has published: the parameters are
the same, what was the next frame's is then the present one's.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from vidshift.kernels import shift3d, shift3d_conv
from vidshift.layers.named import layers_of
from vidshift.shifts.in_stream import MixOfPast, concrete
from vidshift.shifts.options import check_choice, check_flag
from vidshift.shifts.site import FrameMixer

# Bounds of the weights' first uniform draw: the paper's, and the official code's, which
# gives the same probabilities and gradients a twentieth as large.
INITS = {"paper": (1.0, 1.05), "code": (0.0, 1.0)}
# A channel has decided when one tap has at least this share.
DECIDED = 0.99


class AttentionParam(nnx.Param):
    """The weights of an attention over taps, `[C, taps]`."""


class Temperature(nnx.BatchStat):
    """A softmax' temperature: not trained, saved with the statistics, traced."""


class Distance(nnx.BatchStat):
    """Whole distances in time, int32 `[C]`: not trained, saved with the statistics."""


def attention(
    weight: Float[Array, "C taps"], temperature: Float[Array, ""]
) -> Float[Array, "C taps"]:
    """The share of each tap, from the past on: `softmax(w / (std(w) + 1e-6) / temperature)`.

    The paper's equation 7 multiplies by the temperature, which its text and the official
    code, followed here, divide by. The standard deviation is the unbiased one.
    """
    spread = jnp.std(weight, axis=1, keepdims=True, ddof=1)
    return jax.nn.softmax(weight / (spread + 1e-6) / temperature, axis=1)


def distances(taps: int, *, causal: bool = False) -> range:
    """Distances of an attention's taps: around zero, or up to it."""
    first = 1 - taps if causal else -(taps // 2)
    return range(first, first + taps)


class AttentionShift(FrameMixer):
    """A soft choice of whole shifts in time: each channel mixes its neighbouring frames.

    `y[t] = sum over taps of p[c, tap] x[t + distances[tap]]`, with p of `attention` and
    zero outside the clip. At a low temperature it is one shift by a whole number.

    Args:
      channels: C.
      taps: odd, from 3: shifts by up to `taps // 2` frames each way.
      causal: shifts by up to `taps - 1` frames from the past.
      init: a name in `INITS`.
      temperature: to start from.

    Raises:
      ValueError: taps that are even or too few, or no such name.
    """

    def __init__(
        self,
        channels: int,
        *,
        taps: int = 3,
        causal: bool = False,
        init: str = "paper",
        temperature: float = 2.0,
        rngs: nnx.Rngs,
    ):
        check_taps(taps)
        check_flag("causal", causal)
        check_choice("attention_init", init, tuple(INITS))
        low, high = INITS[init]
        draw = jax.random.uniform(rngs.params(), (channels, taps), None, low, high)
        self.weight = AttentionParam(draw)
        self.temperature = Temperature(jnp.float32(temperature))
        self.causal = causal
        self.distances = distances(taps, causal=causal)
        self.in_time = nnx.data(None)  # in a stream

    def start_stream(self) -> None:
        for variable in (self.weight, self.temperature):
            concrete(variable)
        # From the present frame back.
        self.in_time = MixOfPast(np.asarray(self.attention()).T[::-1])
        del self.weight, self.temperature

    def into(self, unit: nnx.Module, clips: jax.Array) -> jax.Array:
        """The unit of the mixed clips."""
        return unit(self(clips))

    def attention(self) -> Float[Array, "C taps"]:
        """The share of each tap, from the past on."""
        return attention(self.weight[...], self.temperature[...])

    def __call__(self, clips: Float[Array, "*places C"]) -> Float[Array, "*places C"]:
        if self.in_time is not None:
            return self.in_time(clips)
        shares = self.attention()
        frames, taps = clips.shape[1], shares.shape[1]
        around = [(0, 0)] * clips.ndim
        around[1] = (-self.distances[0], self.distances[-1])
        padded = jnp.pad(clips, around)
        # Sums are in float32, which XLA fuses with the casts: one read, one write.
        total = sum(
            padded[:, tap : tap + frames] * shares[:, tap].reshape(1, 1, 1, 1, -1)
            for tap in range(taps)
        )
        return total.astype(clips.dtype)


class WholeShift(FrameMixer):
    """Moves each channel by its own whole number of frames: a hardened `AttentionShift`.

    Only data is moved: each value is one of the clip's, bit for bit, or zero.

    Args:
      channels: C.
      taps, causal: those of the attention.

    Raises:
      ValueError: taps that are even or too few.
    """

    def __init__(self, channels: int, *, taps: int = 3, causal: bool = False):
        check_taps(taps)
        check_flag("causal", causal)
        self.distance = Distance(jnp.zeros(channels, jnp.int32))
        self.causal = causal
        self.distances = distances(taps, causal=causal)
        self.in_time = nnx.data(None)  # in a stream

    def start_stream(self) -> None:
        before = np.arange(len(self.distances))[:, None]
        chosen = -concrete(self.distance)[None] == before
        self.in_time = MixOfPast(chosen.astype(np.float32))
        del self.distance

    def into(self, unit: nnx.Module, clips: jax.Array) -> jax.Array:
        """The unit of the shifted clips, shift and convolution in one kernel."""
        return unit.finish(self(clips, unit.conv.kernel[...]))

    def __call__(
        self,
        clips: Float[Array, "*places C"],
        weight: Float[Array, "C K"] | None = None,
    ) -> Float[Array, "*places K"]:
        """The clips shifted, and if there is a weight times it: then in one kernel."""
        if self.in_time is not None:
            y = self.in_time(clips)
            return y if weight is None else y @ weight.astype(y.dtype)
        time = self.distance[...]
        rows = jnp.stack([time, jnp.zeros_like(time), jnp.zeros_like(time)])
        max_shift = (float(-self.distances[0]), 0.0, 0.0)
        if weight is None:
            return shift3d(clips, rows, max_shift=max_shift)
        return shift3d_conv(clips, rows, weight, max_shift=max_shift)


def check_taps(taps: int) -> None:
    """Raises ValueError where taps are even or too few."""
    if taps not in range(3, 2**15, 2):
        raise ValueError(f"taps must be an odd number from 3, got {taps!r}")


def attention_layers(model: nnx.Module) -> list[tuple[str, AttentionShift]]:
    """The attention shifts of a network by name, from the input on."""
    return layers_of(model, AttentionShift)


def shifted_shares(
    model: nnx.Module,
) -> tuple[Float[Array, " layers"], Float[Array, " layers"]]:
    """Returns how much of each attention goes to other frames, from the input on.

    Returns:
      The attention that distances other than zero have, the mean over channels
      (equation 8); and the share of channels whose largest tap is another frame's.
    """
    soft, hard = [], []
    for _, layer in attention_layers(model):
        shares, here = layer.attention(), layer.distances.index(0)
        soft.append(1 - shares[:, here].mean())
        hard.append((shares.argmax(1) != here).mean())
    return jnp.stack(soft), jnp.stack(hard)


def with_temperature(stats: Mapping, temperature) -> dict:
    """A network's statistics by name, every attention at this temperature."""
    return {
        name: jnp.asarray(temperature, array.dtype)
        if name.endswith(".attention.temperature")
        else array
        for name, array in stats.items()
    }


def harden(
    params: Mapping, stats: Mapping, *, causal: bool = False
) -> tuple[dict, dict]:
    """Turns every attention into the whole shift that has the largest share.

    Args:
      params, stats: arrays by name, of a network with attention shifts.
      causal: whether the network is.

    Returns:
      Those of the network that `vidshift.create(..., hardened=True)` makes.
    """
    owners = _owners(params)
    gone = {f"{owner}.{leaf}" for owner in owners for leaf in ("weight", "temperature")}
    found = _largest({o: params[f"{o}.weight"] for o in owners}, causal=causal)
    return (
        {name: array for name, array in params.items() if name not in gone},
        {name: array for name, array in stats.items() if name not in gone}
        | {f"{owner}.distance": array for owner, array in found.items()},
    )


@functools.partial(jax.jit, static_argnames="causal")
def _largest(weights: dict[str, Array], *, causal: bool) -> dict[str, Int[Array, " C"]]:
    """The softmax keeps the order of the weights."""
    return {
        owner: weight.argmax(1).astype(jnp.int32)
        + distances(weight.shape[1], causal=causal)[0]
        for owner, weight in weights.items()
    }


def undecided(params: Mapping, stats: Mapping) -> dict[str, int]:
    """Channels of each attention shift of which no tap has a share of `DECIDED`.

    Hardened, such a channel is not what it was in training.

    Args:
      params, stats: arrays by name, as of `harden`; the temperature is in the stats.
    """
    found = {}
    for owner in _owners(params):
        shares = attention(
            jnp.asarray(params[f"{owner}.weight"]),
            jnp.asarray(stats[f"{owner}.temperature"]),
        )
        found[owner] = int((shares.max(1) < DECIDED).sum())
    return found


def _owners(params: Mapping) -> list[str]:
    names = [name for name in params if name.endswith(".attention.weight")]
    return [name.removesuffix(".weight") for name in names]
