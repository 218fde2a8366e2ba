"""The interpolated shift on an NVIDIA GPU, by jax-triton: the launch of `gpu_kernels`.

A program reads its tile of places with the halo around it, for a run of frames; where no
shift exceeds one place it keeps three frames in registers and so interpolates each once.
The gradients of x and of the shift come from one pass, the shift's as sums over tiles
that XLA adds up: the same from run to run.
"""

import math

import jax
import jax.numpy as jnp

from vidshift.kernels import triton_gpu
from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.gpu_plan import make_plan
from vidshift.kernels.interpolated.taps import nearest


def unsupported(x, spec: ShiftSpec) -> str | None:
    """The reason why a call cannot run here, or None. Any shift and stride is fine."""
    if math.prod(x.shape[2:]) >= 2**31:
        return f"counts within a frame in 32 bits: H * W * C < 2**31, got {x.shape}"
    return triton_gpu.not_installed()


def forward(x, shift, *, stride, max_shift, whole):
    """Computes `reference.forward`."""
    plan = make_plan("forward", x.shape, x.dtype.itemsize, stride, max_shift, whole)
    y = jax.ShapeDtypeStruct((x.shape[0], *plan.sizes, x.shape[4]), x.dtype)
    shift = nearest(shift) if whole else shift
    return triton_gpu.run(plan.launch, "shift3d_forward_triton", x, shift, out_shape=y)


def backward(x, shift, dy, *, stride, max_shift, whole):
    """Computes `reference.backward`, with a part of the shift's gradient for each tile."""
    plan = make_plan("backward", x.shape, x.dtype.itemsize, stride, max_shift, whole)
    dx = jax.ShapeDtypeStruct(x.shape, x.dtype)
    parts = jax.ShapeDtypeStruct((plan.tiles, 3, x.shape[4]), jnp.float32)
    return triton_gpu.run(
        plan.launch,
        "shift3d_backward_triton",
        *(x, shift, nearest(shift), dy),
        out_shape=(dx, parts),
    )


def resources(
    direction, shape, dtype, *, stride, max_shift, whole=False, compute_capability=90
) -> dict:
    """Returns what the compiled kernel takes of an absent GPU."""
    itemsize = jnp.dtype(dtype).itemsize
    plan = make_plan(direction, shape, itemsize, stride, max_shift, whole)
    return triton_gpu.resources(plan.launch, dtype, compute_capability)
