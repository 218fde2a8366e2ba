"""The gate-shift-fuse module: what moves in time, and how it is mixed in, is learnt.

GSF (Sudhakaran et al., TPAMI 2023), section 3.1, and GSM (CVPR 2020), which fuses by a
sum. Written from the equations and from what the official module computes, which differ;
checkpoints need the latter: a batch norm and ReLU stand before the gate's convolution
(not in equations 1 and 2), all convolutions have a bias, and each half's channels are
interleaved at the end (not in equations 9 and 10).

Nobody has published a causal form. Ours has the parameters of the original, moved into
the past: both halves come from the frame before, as the one fold of the online TSM does,
and where the gate's and the fusion's kernels read frames t - 1, t and t + 1 they read
t - 2, t - 1 and t, the usual causal padding. So a half is no longer told apart by its
direction, but by its gate and its fusion alone; leaving the first half unmoved instead
would take half of the module's view of time.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from vidshift.kernels import Frames, temporal_shift
from vidshift.layers.initializers import torch_bias, torch_default
from vidshift.layers.norm import BatchNorm
from vidshift.layers.precision import wide, wide_dtype
from vidshift.shifts.past import FrameBefore, exchange, new_past
from vidshift.shifts.site import FrameMixer, Unit


class Gate(nnx.Module):
    """A 3x3x3 convolution of each half of the channels to one plane.

    A 3-D convolution is slow on a CPU and wants another order of axes; a 2-D one to three
    planes, of which two then move by a frame, is the same sum. `kernel` is
    `[T, H, W, channels / 2, half]`.

    Args:
      zero: start from zeros, as GSM does, rather than as PyTorch's convolutions (GSF).
      causal: the kernel's last frame is the present one, not the one in its middle.
    """

    def __init__(
        self,
        channels: int,
        *,
        zero: bool,
        causal: bool = False,
        dtype,
        rngs: nnx.Rngs,
    ):
        shape, fan_in = (3, 3, 3, channels // 2, 2), 27 * channels // 2
        zeros = nnx.initializers.zeros
        kernel_init = zeros if zero else torch_default
        bias_init = zeros if zero else torch_bias(fan_in)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(bias_init(rngs.params(), (2,), jnp.float32))
        self.dtype = dtype
        self.before = nnx.data(None)
        if causal:
            self.before = nnx.List(FrameBefore() for _ in range(2))
        # In a stream, of each half, `[H, W, channels / 2, T]`.
        self.halves = nnx.data(None)

    def start_stream(self) -> None:
        kernels = self._kernels()
        self.halves = nnx.List(nnx.Param(kernel) for kernel in kernels)
        del self.kernel

    def _kernels(self) -> list[Float[Array, "H W C T"]]:
        """The halves' kernels, their channels in turns."""
        kernel = self.kernel[...].transpose(4, 1, 2, 0, 3)
        return list(_in_turns(kernel).swapaxes(-1, -2))

    def __call__(self, x: Frames) -> Float[Array, "H W N 2"]:
        """Float32, before the gate's tanh; each half's channels are in turns."""
        if self.halves is None:
            kernels = self._kernels()
        else:
            kernels = [kernel[...] for kernel in self.halves]
        halves = jnp.split(x.data.astype(self.dtype), 2, -1)
        # Two convolutions: XLA takes ten times as long for one of two groups on a CPU.
        planes = [
            wide(
                jax.lax.conv_general_dilated(
                    half,
                    kernel.astype(self.dtype),
                    (1, 1),
                    ((1, 1), (1, 1)),
                    dimension_numbers=("HWNC", "HWIO", "HWNC"),
                )
            )
            for half, kernel in zip(halves, kernels, strict=True)
        ]
        # By tap, of both halves.
        first, second, third = (
            jnp.concatenate([p[..., tap : tap + 1] for p in planes], -1)
            for tap in range(3)
        )
        bias = self.bias[...].reshape(1, 1, 1, 2)
        if self.before is not None:
            # The first tap's planes move twice, with the second's the second time.
            twice, once = self.before
            second = second + twice(x.like(first)).data
            return third + once(x.like(second)).data + bias
        moved = jnp.concatenate([third, first], -1)
        moved = temporal_shift(x.like(moved), fold=2).data
        return second + moved[..., :2] + moved[..., 2:] + bias


class GateShiftFuse(FrameMixer):
    """Moves a gated part of each half of the channels by a frame, and fuses the rest.

    With the halves `x1, x2` of the channels that are processed, `y = gate * x` and
    `r = x - y`; `y1` comes from frame t + 1 and `y2` from t - 1, zero outside the clip;
    then `w * y + (1 - w) * r`, or `y + r`. The channels of each half are interleaved
    (0, n/2, 1, n/2 + 1, ...), so the module permutes channels whatever the gate says.

    In a stream it keeps the gated channels, the gate's planes and the fusion's means.

    Args:
      channels: of the features.
      processed: how many of them, from the first, pass the module; a multiple of 4. The
        others stay as they are.
      gate: "learned", or one of `FIXED` for all places, without parameters.
      zero_gate: a learned gate starts from zeros, as GSM's does.
      fusion: "learned", a weight for each channel and frame from the means over space, or
        "sum".
      fusion_init: of the fusion's kernels.
      causal: both halves come from frame t - 1, and the gate and the fusion read t - 2,
        t - 1 and t (ours: see above).
      dtype: compute type.

    Raises:
      ValueError: `processed` is not a multiple of 4 between 4 and `channels`.
    """

    title = "a gate's shift"
    FIXED = (1, -1, 0)

    def __init__(
        self,
        channels: int,
        processed: int,
        *,
        gate: str | int = "learned",
        zero_gate: bool = False,
        fusion: str = "learned",
        fusion_init=torch_default,
        causal: bool = False,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if processed % 4 or not 4 <= processed <= channels:
            raise ValueError(
                f"processed must be a multiple of 4 from 4 to the {channels} channels, "
                f"got {processed}"
            )
        self.processed = processed
        self.dtype = dtype
        self.causal = causal
        self.before = nnx.data(FrameBefore() if causal else None)
        self.fixed = None if gate == "learned" else gate
        self.norm = self.gate = self.fusion = nnx.data(None)
        if gate == "learned":
            self.norm = BatchNorm(processed, dtype=dtype)
            self.gate = Gate(
                processed, zero=zero_gate, causal=causal, dtype=dtype, rngs=rngs
            )
        if fusion == "learned":
            self.fusion = nnx.List(
                nnx.Conv(
                    2,
                    1,
                    (3, 3),
                    padding=((1, 1), (2, 0) if causal else (1, 1)),
                    kernel_init=fusion_init,
                    bias_init=torch_bias(2 * 9),
                    rngs=rngs,
                )
                for _ in range(2)
            )
        # In a stream, the means of frame t - 1 and t - 2.
        self.past_means = nnx.data(None)

    def start_stream(self) -> None:
        if self.fusion is not None:
            self.past_means = nnx.List(new_past() for _ in range(2))
            for fuse in self.fusion:
                fuse.padding = ((1, 1), (0, 0))

    def __call__(self, x: Frames) -> Frames:
        return self.mix(x.like(self.in_turns(x.data)))

    def in_turns(self, array: Shaped[Array, "*axes C"]) -> Shaped[Array, "*axes C"]:
        """Orders channels, which are the last axis, as those of the results are."""
        halves = jnp.split(array[..., : self.processed], 2, -1)
        rest = array[..., self.processed :]
        return jnp.concatenate([*map(_in_turns, halves), rest], -1)

    def mix(self, x: Frames) -> Frames:
        """Returns what a call does, of features whose channels are in turns already."""
        data = x.data.astype(self.dtype)
        moving = data[..., : self.processed]
        gated = x.like(moving * self._gates(x.like(moving)))
        moved = self.before(gated) if self.causal else self._moved(gated)
        still = moving - gated.data
        if self.fusion is None:
            fused = moved.data + still
        else:
            means = self._means(moving, gated, moved)
            weight = self._weights(x, means).astype(self.dtype)
            fused = weight * moved.data + (1 - weight) * still
        return x.like(_before_rest(fused, data))

    def _moved(self, gated: Frames) -> Frames:
        fold = self.processed // (1 if self.causal else 2)
        return temporal_shift(
            gated, fold=fold, direction="past" if self.causal else "both"
        )

    def _gates(self, x: Frames):
        """-> a factor for each of x's values, by its half."""
        if self.gate is None:
            return self.fixed
        h = self._normalised(x)
        gates = jnp.tanh(self.gate(h.like(nnx.relu(h.data)))).astype(self.dtype)
        first = jnp.arange(self.processed) < self.processed // 2
        return jnp.where(first.reshape(1, 1, 1, -1), gates[..., :1], gates[..., 1:])

    def _normalised(self, x: Frames) -> Frames:
        """The norm with its parameters in x's order; its statistics stay in their own."""
        graphdef, arrays = nnx.split(self.norm)
        norm = nnx.merge(graphdef, jax.tree.map(self.in_turns, arrays))
        y = norm(x)
        if not norm.use_running_average:

            def own_order(stat):
                return jnp.concatenate([_in_order(half) for half in jnp.split(stat, 2)])

            stats = nnx.state(norm, nnx.BatchStat)
            nnx.update(self.norm, jax.tree.map(own_order, stats))
        return y

    def _means(self, x, gated: Frames, moved: Frames) -> list[Float[Array, "N C"]]:
        """The means over space of what is moved and of what stays."""

        def mean(data):
            return data.mean((0, 1), keepdims=True, dtype=wide_dtype(data.dtype))

        of_gated = mean(gated.data)
        of_still = mean(x) - of_gated
        # Moving the means costs less than taking them of what has moved.
        alone = self.past_means is not None
        of_moved = mean(moved.data) if alone else self._moved(gated.like(of_gated)).data
        return [array.squeeze((0, 1)) for array in (of_moved, of_still)]

    def _weights(self, like: Frames, means) -> Float[Array, "1 1 N C"]:
        """Float32 in (0, 1), from each half's plane of channels and frames."""
        if self.past_means is not None:
            return self._weights_of_frame(means)
        frames, parts = like.frames, like.parts
        plane = jnp.stack(means, -1)  # [N, C, 2]
        plane = plane.reshape(parts, frames, -1, *plane.shape[1:])
        plane = plane.transpose(0, 2, 3, 1, 4)  # [parts, clips, C, T, 2]
        rows = plane.reshape(-1, 2, self.processed // 2, frames, 2)
        rows = _in_order(rows.swapaxes(2, -1)).swapaxes(2, -1)
        halves = [fuse(rows[:, i])[..., 0] for i, fuse in enumerate(self.fusion)]
        halves = [_in_turns(half.swapaxes(1, 2)).swapaxes(1, 2) for half in halves]
        weight = jax.nn.sigmoid(jnp.concatenate(halves, 1))  # [B, C, T]
        weight = weight.reshape(parts, -1, *weight.shape[1:]).transpose(0, 3, 1, 2)
        return weight.reshape(1, 1, -1, self.processed)

    def _weights_of_frame(self, means) -> Float[Array, "1 1 B C"]:
        """In a stream; `means` `[B, C]` of the gated and the still."""
        halves = [half for mean in means for half in jnp.split(mean, 2, -1)]
        seen = [jnp.concatenate([_in_order(half) for half in halves], -1)]
        for past in self.past_means:
            seen.append(exchange(past, seen[-1]))
        rows = [jnp.stack(jnp.split(frame, 2, -1), -1) for frame in reversed(seen)]
        halves = jnp.split(jnp.stack(rows, 2), 2, 1)  # each [B, C / 2, T, 2]
        logits = [
            fuse(half).squeeze((2, 3))
            for half, fuse in zip(halves, self.fusion, strict=True)
        ]
        weight = jax.nn.sigmoid(jnp.concatenate([_in_turns(a) for a in logits], 1))
        return weight.reshape(1, 1, -1, self.processed)


class GatedUnit(Unit):
    """A unit with a gate, whose convolution makes channels in the order of its results.

    Permuting the convolution's filters is what permuting the features would be, which
    is a pass over memory on a GPU, and many of them on a TPU.
    """

    def __call__(self, x: Frames) -> Frames:
        if not isinstance(self.between, GateShiftFuse):
            return super().__call__(x)
        if self.before is not None:
            x = self.before(x)
        graphdef, arrays = nnx.split(self.conv)
        conv = nnx.merge(graphdef, jax.tree.map(self.between.in_turns, arrays))
        x = self.norm(self.between.mix(conv(x)))
        if self.activation is not None:
            x = x.like(self.activation(x.data))
        return x if self.after is None else self.after(x)


def _before_rest(first: Float[Array, "H W N P"], x: Float[Array, "H W N C"]):
    """x with other channels in place of its first P.

    A selection, which XLA computes with what comes next: a TPU writes a slice of
    channels to memory.
    """
    more = x.shape[-1] - first.shape[-1]
    channel = jax.lax.broadcasted_iota(jnp.int32, (1, 1, 1, x.shape[-1]), 3)
    padded = jnp.pad(first, [(0, 0)] * 3 + [(0, more)])
    return jnp.where(channel < first.shape[-1], padded, x) if more else first


def _in_turns(half: Shaped[Array, "*axes C"]) -> Shaped[Array, "*axes C"]:
    """Channels 0, C/2, 1, C/2 + 1, ..."""
    return _swapped(half, 2, half.shape[-1] // 2)


def _in_order(half: Shaped[Array, "*axes C"]) -> Shaped[Array, "*axes C"]:
    """The inverse of `_in_turns`."""
    return _swapped(half, half.shape[-1] // 2, 2)


def _swapped(half: jax.Array, *parts: int) -> jax.Array:
    """Swaps two axes that the channels are counted by.

    In four axes at most: a mobile phone's runtime has no transpose of more. The last but
    one may be spread over devices, so it stays by itself.
    """
    around = half.shape[:-1]
    if half.ndim > 3:
        around = (math.prod(around[:-1]), around[-1])
    return half.reshape(*around, *parts).swapaxes(-1, -2).reshape(half.shape)
