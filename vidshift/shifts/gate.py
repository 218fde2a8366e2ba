"""The gate-shift-fuse module: what moves in time, and how it is mixed in, is learnt.

GSF (Sudhakaran et al., TPAMI 2023), section 3.1, and GSM (CVPR 2020), which fuses by a
sum. Written from the equations and from what the official module computes, which differ;
checkpoints need the latter: a batch norm and ReLU stand before the gate's convolution
(not in equations 1 and 2), all convolutions have a bias, and each half's channels are
interleaved at the end (not in equations 9 and 10).
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from kernels import Frames, temporal_shift
from vidshift.layers.norm import BatchNorm

# PyTorch's for a convolution's kernel: uniform within 1 / sqrt(fan_in).
torch_default = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def _torch_bias(fan_in: int):
    """PyTorch's for the bias of a convolution of that fan-in."""
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype: jax.random.uniform(
        key, shape, dtype, -bound, bound
    )


class Gate(nnx.Module):
    """A 3x3x3 convolution of each half of the channels to one plane.

    A 3-D convolution is slow on a CPU and wants another order of axes; a 2-D one to three
    planes, of which two then move by a frame, is the same sum. `kernel` is
    `[T, H, W, channels / 2, half]`.

    Args:
      zero: start from zeros, as GSM does, rather than as PyTorch's convolutions (GSF).
    """

    def __init__(self, channels: int, *, zero: bool, dtype, rngs: nnx.Rngs):
        shape, fan_in = (3, 3, 3, channels // 2, 2), 27 * channels // 2
        zeros = nnx.initializers.zeros
        kernel_init = zeros if zero else torch_default
        bias_init = zeros if zero else _torch_bias(fan_in)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(bias_init(rngs.params(), (2,), jnp.float32))
        self.dtype = dtype

    def __call__(self, x: Frames) -> Float[Array, "H W N 2"]:
        """Float32, before the gate's tanh."""
        kernels = self.kernel[...].astype(self.dtype).transpose(1, 2, 3, 0, 4)
        halves = jnp.split(x.data.astype(self.dtype), 2, -1)
        # Two convolutions: XLA takes ten times as long for one of two groups on a CPU.
        planes = [
            jax.lax.conv_general_dilated(
                half,
                kernels[..., i],
                (1, 1),
                ((1, 1), (1, 1)),
                dimension_numbers=("HWNC", "HWIO", "HWNC"),
            ).astype(jnp.float32)
            for i, half in enumerate(halves)
        ]
        # By tap: frame t - 1, t and t + 1 of both halves.
        past, here, future = (
            jnp.concatenate([p[..., tap : tap + 1] for p in planes], -1)
            for tap in range(3)
        )
        moved = jnp.concatenate([future, past], -1)
        moved = temporal_shift(x.like(moved), fold=2).data
        bias = self.bias[...].reshape(1, 1, 1, 2)
        return here + moved[..., :2] + moved[..., 2:] + bias


class GateShiftFuse(nnx.Module):
    """Moves a gated part of each half of the channels by a frame, and fuses the rest.

    With the halves `x1, x2` of the channels that are processed, `y = gate * x` and
    `r = x - y`; `y1` comes from frame t + 1 and `y2` from t - 1, zero outside the clip;
    then `w * y + (1 - w) * r`, or `y + r`. The channels of each half are interleaved
    (0, n/2, 1, n/2 + 1, ...), so the module permutes channels whatever the gate says.

    Args:
      channels: of the features.
      processed: how many of them, from the first, pass the module; a multiple of 4. The
        others stay as they are.
      gate: "learned", or one of `FIXED` for all places, without parameters.
      zero_gate: a learned gate starts from zeros, as GSM's does.
      fusion: "learned", a weight for each channel and frame from the means over space, or
        "sum".
      fusion_init: of the fusion's kernels.
      dtype: compute type.

    Raises:
      ValueError: `processed` is not a multiple of 4 between 4 and `channels`.
    """

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
        self.fixed = None if gate == "learned" else gate
        self.norm = self.gate = self.fusion = nnx.data(None)
        if gate == "learned":
            self.norm = BatchNorm(processed, dtype=dtype)
            self.gate = Gate(processed, zero=zero_gate, dtype=dtype, rngs=rngs)
        if fusion == "learned":
            self.fusion = nnx.List(
                nnx.Conv(
                    2,
                    1,
                    (3, 3),
                    padding=((1, 1), (1, 1)),
                    kernel_init=fusion_init,
                    bias_init=_torch_bias(2 * 9),
                    rngs=rngs,
                )
                for _ in range(2)
            )

    def __call__(self, x: Frames) -> Frames:
        data = x.data.astype(self.dtype)
        moving, rest = data[..., : self.processed], data[..., self.processed :]
        half = self.processed // 2
        gated = moving * self._gates(x.like(moving))
        still = moving - gated
        gated = temporal_shift(x.like(gated), fold=half).data
        if self.fusion is None:
            fused = gated + still
        else:
            weight = self._weights(x.like(gated), x.like(still)).astype(self.dtype)
            fused = weight * gated + (1 - weight) * still
        fused = fused.reshape(*fused.shape[:3], 2, 2, half // 2).swapaxes(-1, -2)
        fused = fused.reshape(moving.shape)
        return x.like(jnp.concatenate([fused, rest], -1))

    def _gates(self, x: Frames):
        """-> a factor for each of x's values, by its half."""
        if self.gate is None:
            return self.fixed
        h = self.norm(x)
        gates = jnp.tanh(self.gate(h.like(nnx.relu(h.data)))).astype(self.dtype)
        first = jnp.arange(self.processed) < self.processed // 2
        return jnp.where(first.reshape(1, 1, 1, -1), gates[..., :1], gates[..., 1:])

    def _weights(self, gated: Frames, still: Frames) -> Float[Array, "1 1 N C"]:
        """Float32 in (0, 1), from each half's plane of channels and frames."""
        frames, parts = gated.frames, gated.parts
        means = [x.data.mean((0, 1), dtype=jnp.float32) for x in (gated, still)]
        plane = jnp.stack(means, -1)  # [N, C, 2]
        plane = plane.reshape(parts, frames, -1, *plane.shape[1:])
        plane = plane.transpose(0, 2, 3, 1, 4)  # [parts, clips, C, T, 2]
        rows = plane.reshape(-1, 2, self.processed // 2, frames, 2)
        halves = [fuse(rows[:, i])[..., 0] for i, fuse in enumerate(self.fusion)]
        weight = jax.nn.sigmoid(jnp.concatenate(halves, 1))  # [B, C, T]
        weight = weight.reshape(parts, -1, *weight.shape[1:]).transpose(0, 3, 1, 2)
        return weight.reshape(1, 1, -1, self.processed)
