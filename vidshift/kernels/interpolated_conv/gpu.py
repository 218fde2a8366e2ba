"""The shift and the product after it on an NVIDIA GPU: the launch of `gpu_kernels`.

Forward, and for the weight's gradient, the shifted features are made in registers and
multiplied there. What goes back to x is a product by XLA and then the shift's own pass.
"""

import math

import jax
import jax.numpy as jnp

from vidshift.kernels import triton_gpu
from vidshift.kernels.interpolated import gpu as shift_alone
from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.taps import nearest
from vidshift.kernels.interpolated_conv.gpu_plan import make_conv_plan
from vidshift.kernels.interpolated_conv.reference import product_back


def unsupported(x, spec: ShiftSpec) -> str | None:
    """The reason why a call cannot run here, or None."""
    outputs = spec.out_channels
    if math.prod((*x.shape[2:4], max(x.shape[4], outputs))) >= 2**31:
        return f"counts within a frame in 32 bits: H * W * K < 2**31, got K={outputs}"
    if x.shape[4] * outputs >= 2**31:
        return f"counts within the weight in 32 bits, got {x.shape[4]} x {outputs}"
    return shift_alone.unsupported(x, spec)


def forward(x, shift, weight, scale, bias, *, stride, max_shift, whole, relu):
    """Computes the reference's `forward`."""
    outputs = weight.shape[1]
    plan = make_conv_plan(
        "forward", x.shape, outputs, x.dtype.itemsize, stride, max_shift
    )
    return triton_gpu.run(
        plan.launch,
        "shift3d_conv_forward_triton",
        *(x, nearest(shift) if whole else shift, weight, scale, bias),
        out_shape=jax.ShapeDtypeStruct((x.shape[0], *plan.sizes, outputs), x.dtype),
        WHOLE=whole,
        RELU=relu,
    )


def backward(x, shift, weight, dy, *, stride, max_shift, whole):
    """Computes the reference's `backward`, with a part of each sum for some tiles."""
    c, k = weight.shape
    plan = make_conv_plan("weight", x.shape, k, x.dtype.itemsize, stride, max_shift)
    dweight = triton_gpu.run(
        plan.launch,
        "shift3d_conv_weight_triton",
        *(x, nearest(shift) if whole else shift, dy),
        out_shape=jax.ShapeDtypeStruct((plan.parts, c, k), jnp.float32),
        WHOLE=whole,
    )
    options = {"stride": stride, "max_shift": max_shift, "whole": whole}
    dx, dshift = shift_alone.backward(x, shift, product_back(dy, weight), **options)
    return dx, dshift, dweight


def resources(
    direction, shape, dtype, *, out_channels, stride, max_shift, whole=False,
    compute_capability=90,
) -> dict:  # fmt: skip
    """Returns what the compiled kernel takes of an absent GPU.

    Direction "weight" is the weight's gradient alone, "backward" the most of this and the
    shift's own pass.
    """
    shift = {"stride": stride, "max_shift": max_shift}
    if direction == "backward":
        options = shift | {"whole": whole, "compute_capability": compute_capability}
        weight = resources("weight", shape, dtype, out_channels=out_channels, **options)
        alone = shift_alone.resources("backward", shape, dtype, **options)
        return triton_gpu.most([weight, alone])
    itemsize = jnp.dtype(dtype).itemsize
    plan = make_conv_plan(direction, shape, out_channels, itemsize, **shift)
    flags = {"WHOLE": whole} | ({"RELU": True} if direction == "forward" else {})
    return triton_gpu.resources(plan.launch, dtype, compute_capability, **flags)
