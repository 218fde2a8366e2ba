"""The temporal shift on an NVIDIA GPU, by jax-triton: the launch of `gpu_kernels`.

Alone, or in the 1x1 convolution after it, whose left operand is read at shifted frames:
the shift then moves no byte of its own, and neither gradient needs a shifted copy of x.
Features are `[A, T, R, C]`: A clips or blocks, T frames, R rows a frame, C channels.
The gradient of the weights comes as sums over runs of rows that XLA adds up: the same
from run to run.
"""

import math
import re
import subprocess
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp

from kernels.interpolated import gpu as interpolated_gpu
from kernels.interpolated.gpu import compiling_for
from kernels.temporal.gpu_bytes import fetched_bytes, least_bytes
from kernels.temporal.gpu_plan import Plan, plan

__all__ = [
    "compiling_for",
    "fetched_bytes",
    "least_bytes",
    "missing",
    "resources",
    "shift",
    "shift_conv",
    "shift_conv_dw",
    "shift_conv_dx",
]

# What tl.dot multiplies here; a shift alone moves any number of 1, 2, 4 or 8 bytes.
PRODUCTS = ("bfloat16", "float16", "float32")
TYPES = {
    "bfloat16": "bf16",
    **{f"float{bits}": f"fp{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}
LAUNCHES = {  # as traces name them
    "shift": "temporal_shift_forward_triton",
    "shift_reverse": "temporal_shift_backward_triton",
    "shift_conv": "temporal_shift_conv_forward_triton",
    "shift_conv_dx": "temporal_shift_conv_dx_triton",
    "shift_conv_dw": "temporal_shift_conv_dw_triton",
}


def missing(x, out_channels: int | None = None) -> str | None:
    """What keeps a call on x `[A, T, R, C]` from running here, or None.

    Args:
      out_channels: of the convolution after the shift; None: the shift alone.
    """
    rows, c = math.prod(x.shape[:3]), x.shape[3]
    if not rows * c or out_channels == 0:
        return f"has nothing to compute: x {x.shape}, {out_channels} filters"
    if rows >= 2**30:  # and some beyond the end
        return f"counts rows in 32 bits: A * T * R < 2**30, got {x.shape}"
    name = jnp.dtype(x.dtype).name
    if out_channels is None:
        if name not in TYPES:
            return f"moves {', '.join(TYPES)}; got {name}"
    elif name not in PRODUCTS:
        return f"multiplies {', '.join(PRODUCTS)}; got {name}"
    # The offsets within a tile of 128 rows, and those of the weights.
    elif max(128 * c, 128 * out_channels, c * out_channels) >= 2**31:
        return (
            "counts within a tile and the weights in 32 bits: "
            f"got {c} channels, {out_channels} filters"
        )
    return interpolated_gpu._not_installed()


def shift(x, *, fold: int, direction: str, reverse: bool = False):
    """As `temporal_shift`; reverse: its transpose, the other way in time."""
    of = {"fold": fold, "direction": direction, "reverse": reverse}
    launch = plan("shift", x.shape, x.dtype.itemsize, **of)
    name = "shift_reverse" if reverse else "shift"
    return _launch(name, launch, x, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))


def shift_conv(x, w, scale, bias, *, fold: int, direction: str, relu: bool):
    """`relu(scale * (shift(x) @ w) + bias)`, summed in float32.

    Args:
      w: `[C, K]`, of x's dtype.
      scale, bias: `[K]`, float32, or None.

    Returns:
      `[A, T, R, K]`, of x's dtype.
    """
    launch = plan(
        "shift_conv",
        x.shape,
        x.dtype.itemsize,
        fold=fold,
        direction=direction,
        out_channels=w.shape[1],
        epilogue={"SCALE": scale is not None, "BIAS": bias is not None, "RELU": relu},
    )
    y = jax.ShapeDtypeStruct((*x.shape[:3], w.shape[1]), x.dtype)
    # A launch has a pointer for each; one that is never read costs nothing.
    scale, bias = (w if a is None else a for a in (scale, bias))
    return _launch("shift_conv", launch, x, w, scale, bias, out_shape=y)


def shift_conv_dx(dz, w, *, fold: int, direction: str):
    """The transposed shift of `dz @ w^T`, `[A, T, R, C]`; dz `[A, T, R, K]`."""
    shape = (*dz.shape[:3], w.shape[0])
    of = {"fold": fold, "direction": direction, "out_channels": w.shape[1]}
    launch = plan("shift_conv_dx", shape, dz.dtype.itemsize, **of)
    dx = jax.ShapeDtypeStruct(shape, dz.dtype)
    return _launch("shift_conv_dx", launch, dz, w, out_shape=dx)


def shift_conv_dw(x, dz, *, fold: int, direction: str):
    """`shift(x)^T @ dz` over all rows, `[C, K]` in float32."""
    c, k = x.shape[3], dz.shape[3]
    of = {"fold": fold, "direction": direction, "out_channels": k}
    launch = plan("shift_conv_dw", x.shape, x.dtype.itemsize, **of)
    parts = jax.ShapeDtypeStruct((launch.parts, c, k), jnp.float32)
    return jnp.sum(_launch("shift_conv_dw", launch, x, dz, out_shape=parts), axis=0)


def _launch(name, launch: Plan, *args, out_shape):
    import jax_triton

    absent = interpolated_gpu._absent.get()
    if absent is None and not interpolated_gpu._any_gpu():
        raise NotImplementedError(
            "temporal_shift: 'triton' is compiled for the GPU that is here, and here is "
            "none; kernels.temporal.gpu.compiling_for says for which other one"
        )

    from kernels.temporal import gpu_kernels

    return jax_triton.triton_call(
        *args,
        kernel=getattr(gpu_kernels, launch.kernel),
        out_shape=out_shape,
        grid=(launch.programs,),
        name=LAUNCHES[name],
        num_warps=launch.warps,
        num_stages=launch.stages,
        compute_capability=absent,
        **launch.constants,
    )


def resources(
    name,
    shape,
    dtype,
    *,
    fold,
    direction="both",
    out_channels=None,
    reverse=False,
    compute_capability=90,
) -> dict:
    """What the compiled kernel takes of an absent GPU; arguments as `fetched_bytes`.

    Returns:
      registers of a thread; spills: bytes of a thread's stack, where registers did not
      suffice; shared memory of a program, bytes; warps of a program; tensor_cores:
      whether its products go through Hopper's warp-group instructions.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from kernels.temporal import gpu_kernels

    dtype = jnp.dtype(dtype)
    launch = plan(
        name,
        shape,
        dtype.itemsize,
        fold=fold,
        direction=direction,
        out_channels=out_channels or 0,
        reverse=reverse,
        epilogue={"SCALE": True, "BIAS": True, "RELU": True},
    )
    kernel = getattr(gpu_kernels, launch.kernel)
    of_float32 = ("scale_ptr", "bias_ptr", "parts_ptr")
    signature = {
        argument: "constexpr"
        if argument in launch.constants
        else ("*fp32" if argument in of_float32 else f"*{TYPES[dtype.name]}")
        for argument in kernel.arg_names
    }
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, kind in enumerate(signature.values())
        if kind != "constexpr"
    }
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.TemporaryDirectory() as folder, triton.knobs.cache.scope():
        triton.knobs.cache.dir = folder  # jax-triton takes Triton's own away
        compiled = triton.compile(
            ASTSource(kernel, signature, constexprs=launch.constants, attrs=aligned),
            target=GPUTarget("cuda", compute_capability, 32),
            options={
                "num_warps": launch.warps,
                "num_stages": launch.stages,
                "enable_fp_fusion": True,
            },
        )
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(compiled.asm["cubin"])
        command = [tool, "--dump-resource-usage", cubin]
        text = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", text).groups()
    return {
        "registers": int(registers),
        "spills": int(stack),
        "shared": compiled.metadata.shared,
        "warps": launch.warps,
        "tensor_cores": "wgmma.mma_async" in compiled.asm["ptx"],
    }
