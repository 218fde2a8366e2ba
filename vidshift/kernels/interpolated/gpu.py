"""The interpolated shift on an NVIDIA GPU, by jax-triton: the launch of the kernels.

Shifts of up to one place without a stride go by rows (`gpu_rows_kernels`). Others go by
tiles of places (`gpu_kernels`): a program reads its tile with the halo around it, for a
run of frames. The gradients of x and of the shift come from one pass, the shift's as sums
over parts of the features that XLA adds up: the same from run to run.
"""

import math

import jax
import jax.numpy as jnp

from vidshift.kernels import triton_gpu
from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.gpu_plan import make_plan
from vidshift.kernels.interpolated.gpu_rows_plan import make_rows_plan, serves
from vidshift.kernels.interpolated.taps import nearest, out_sizes


def unsupported(x, spec: ShiftSpec) -> str | None:
    """The reason why a call cannot run here, or None. Any shift and stride is fine."""
    if math.prod(x.shape[2:]) >= 2**31:
        return f"counts within a frame in 32 bits: H * W * C < 2**31, got {x.shape}"
    return triton_gpu.not_installed()


def forward(x, shift, *, stride, max_shift, whole):
    """Computes `reference.forward`."""
    plan = _plan("forward", x.shape, x.dtype, stride, max_shift, whole)
    sizes = out_sizes(x.shape[1:4], stride)
    y = jax.ShapeDtypeStruct((x.shape[0], *sizes, x.shape[4]), x.dtype)
    shift = nearest(shift) if whole else shift
    return triton_gpu.run(plan.launch, "shift3d_forward_triton", x, shift, out_shape=y)


def backward(x, shift, dy, *, stride, max_shift, whole):
    """Computes `reference.backward`, with a part of the shift's gradient for each tile."""
    plan = _plan("backward", x.shape, x.dtype, stride, max_shift, whole)
    dx = jax.ShapeDtypeStruct(x.shape, x.dtype)
    parts = jax.ShapeDtypeStruct((plan.parts, 3, x.shape[4]), jnp.float32)
    return triton_gpu.run(
        plan.launch,
        "shift3d_backward_triton",
        *(x, shift, nearest(shift), dy),
        out_shape=(dx, parts),
    )


def _plan(direction, shape, dtype, stride, max_shift, whole):
    itemsize = jnp.dtype(dtype).itemsize
    if serves(stride, max_shift):
        return make_rows_plan(direction, shape, itemsize, stride, whole)
    return make_plan(direction, shape, itemsize, stride, max_shift, whole)


def resources(
    direction, shape, dtype, *, stride, max_shift, whole=False, compute_capability=90
) -> dict:
    """Returns what the compiled kernel takes of an absent GPU.

    `triton_gpu.resources`; `instructions`: those that the threads execute for each element
    of the result, None where they depend on the shifts; `lanes` and `sectors`: the shares
    of the threads, and of the sectors that are loaded, that have an element of use.
    """
    plan = _plan(direction, shape, dtype, stride, max_shift, whole)
    taken = triton_gpu.resources(plan.launch, dtype, compute_capability)
    sizes = shape[1:4]
    if direction == "forward":
        sizes = out_sizes(sizes, stride)
    elements = shape[0] * math.prod(sizes) * shape[4]
    threads = plan.launch.programs * plan.launch.warps * 32
    executed = taken["executed"]
    each = None if executed is None else executed * threads / elements
    shares = {"lanes": plan.lanes, "sectors": plan.sectors(jnp.dtype(dtype).itemsize)}
    return taken | shares | {"instructions": each}
