"""The temporal shift on an NVIDIA GPU, by jax-triton: the launch of `gpu_kernels`.

Alone, or in the 1x1 convolution after it, whose left operand is read at shifted frames:
the shift then moves no byte of its own, and neither gradient needs a shifted copy of x.
The gradient of the weights comes as sums over runs of rows that XLA adds up: the same
from run to run.

The kernels' features are `[A, T, R, C]`: A clips or blocks, T frames, R rows a frame, C
channels. cuDNN wants its features as `[frames, H, W, C]`, and XLA keeps `[H, W, N, C]`
like that, so the transposes around the kernels move nothing there.
"""

import math

import jax
import jax.numpy as jnp

from vidshift.kernels import triton_gpu
from vidshift.kernels.temporal.arguments import Move, TemporalSpec
from vidshift.kernels.temporal.gpu_plan import (
    H100,
    MULTIPROCESSORS,
    Plan,
    kernel_calls,
    kernel_shape,
    plan,
)

LAUNCHES = {  # as traces name them
    "shift": "temporal_shift_forward_triton",
    "shift_reverse": "temporal_shift_backward_triton",
    "shift_conv": "temporal_shift_conv_forward_triton",
    "shift_conv_dx": "temporal_shift_conv_dx_triton",
    "shift_conv_dw": "temporal_shift_conv_dw_triton",
}


def unsupported(x, spec: TemporalSpec) -> str | None:
    """The reason why a call cannot run here, or None."""
    shape = jax.eval_shape(
        lambda x: _to_rows(x, spec.move), jax.ShapeDtypeStruct(x.shape, x.dtype)
    ).shape
    count, c, k = math.prod(shape[:3]), shape[3], spec.out_channels
    if not count * c:
        return f"has nothing to compute: x {shape}, {k or None} filters"
    if count >= 2**30:  # and some beyond the end
        return f"counts rows in 32 bits: A * T * R < 2**30, got {shape}"
    # The offsets within a tile of 256 rows, and those of the weights.
    if k and max(256 * c, 256 * k, c * k) >= 2**31:
        return (
            "counts within a tile and the weights in 32 bits: "
            f"got {c} channels, {k} filters"
        )
    return triton_gpu.not_installed()


def shift(x, *, move: Move):
    """Computes `reference.shift`, bit for bit."""
    features = _to_rows(x, move)
    name = "shift_reverse" if move.reverse else "shift"
    launch = _plan("shift", features, move, reverse=move.reverse)
    return _from_rows(_run(name, launch, features, out_shape=features), x, move)


def conv(x, weight, scale, bias, *, relu: bool, move: Move):
    """Computes `reference.conv`, summed in float32."""
    features, k = _to_rows(x, move), weight.shape[1]
    weight = weight.astype(x.dtype)
    epilogue = {"SCALE": scale is not None, "BIAS": bias is not None, "RELU": relu}
    launch = _plan("shift_conv", features, move, out_channels=k, epilogue=epilogue)
    y = jax.ShapeDtypeStruct((*features.shape[:3], k), x.dtype)
    # A launch has a pointer for each; one that is never read costs nothing.
    scale, bias = (
        weight if a is None else a.astype(jnp.float32) for a in (scale, bias)
    )
    y = _run("shift_conv", launch, features, weight, scale, bias, out_shape=y)
    return _from_rows(y, x, move)


def conv_dx(dz, weight, *, move: Move):
    """Computes `reference.conv_dx`."""
    rows_dz, (c, k) = _to_rows(dz, move), weight.shape
    dx = jax.ShapeDtypeStruct((*rows_dz.shape[:3], c), dz.dtype)
    launch = _plan("shift_conv_dx", dx, move, out_channels=k)
    weight = weight.astype(dz.dtype)
    dx = _run("shift_conv_dx", launch, rows_dz, weight, out_shape=dx)
    return _from_rows(dx, dz, move)


def conv_dw(x, dz, *, move: Move):
    """Computes `reference.conv_dw`."""
    x, dz = _to_rows(x, move), _to_rows(dz, move)
    c, k = x.shape[3], dz.shape[3]
    launch = _plan("shift_conv_dw", x, move, out_channels=k)
    parts = jax.ShapeDtypeStruct((launch.parts, c, k), jnp.float32)
    return jnp.sum(_run("shift_conv_dw", launch, x, dz, out_shape=parts), axis=0)[None]


def _plan(name, x, move: Move, **options) -> Plan:
    fold, direction = move.fold, move.direction
    options |= {"compute_capability": triton_gpu.compute_capability() or H100}
    itemsize = x.dtype.itemsize
    return plan(name, x.shape, itemsize, fold=fold, direction=direction, **options)


def _run(name, plan: Plan, *arrays, out_shape):
    out_shape = jax.ShapeDtypeStruct(out_shape.shape, out_shape.dtype)
    return triton_gpu.run(plan.launch, LAUNCHES[name], *arrays, out_shape=out_shape)


def _to_rows(x, move: Move):
    if move.frames is None:
        return x.reshape(kernel_shape(x.shape))
    x = x.transpose(2, 0, 1, 3)
    return x.reshape(move.parts, move.frames, -1, x.shape[-1])


def _from_rows(y, x, move: Move):
    channels = y.shape[-1]
    if move.frames is None:
        return y.reshape(*x.shape[:-1], channels)
    height, width, count = x.shape[:3]
    return y.reshape(count, height, width, channels).transpose(1, 2, 0, 3)


def resources(pass_name, shape, dtype, /, *, compute_capability=90, **options) -> dict:
    """Returns the most that any kernel of "forward" or "backward" takes of an absent GPU.

    `kernels` in it has `kernel_resources` of each.

    Args:
      shape: of the clips.
      options: `out_channels`, if there is a convolution, and those of the shift.
    """
    of_gpu = {"compute_capability": compute_capability}
    kernels = {
        name: kernel_resources(name, kernel_shape(shape), dtype, **call, **of_gpu)
        for name, call in kernel_calls(pass_name, **options)
    }
    return triton_gpu.most(list(kernels.values())) | {"kernels": kernels}


def kernel_resources(name, shape, dtype, *, compute_capability=90, **options) -> dict:
    """Returns what a compiled kernel takes of an absent GPU; arguments as of `plan`.

    Beside `triton_gpu.resources`: the stages of its loads, the programs of a launch, and
    the waves in which they run if all 132 multiprocessors take as many.
    """
    epilogue = {"SCALE": True, "BIAS": True, "RELU": True}
    itemsize = jnp.dtype(dtype).itemsize
    options |= {"epilogue": epilogue, "compute_capability": compute_capability}
    launch = plan(name, shape, itemsize, **options).launch
    taken = triton_gpu.resources(launch, dtype, compute_capability)
    at_once = MULTIPROCESSORS * taken["programs_an_sm"]
    return taken | {
        "stages": launch.stages,
        "programs": launch.programs,
        "waves": launch.programs / at_once,
    }
