"""Triton's kernels on an NVIDIA GPU: launched by jax-triton, or compiled to look at them.

Triton and jax-triton are imported where they are needed: most machines have neither.
"""

import contextlib
import contextvars
import functools
import importlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vidshift.kernels.analysis import sass

# Numbers of a kernel's pointers. The values are Triton's names.
TYPES = {
    "bfloat16": "bf16",
    **{f"float{bits}": f"fp{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}
# Pointers to float32, whatever the features are.
FLOAT32 = ("shift_ptr", "whole_ptr", "parts_ptr", "scale_ptr", "bias_ptr")

_compute_capability = contextvars.ContextVar("compute_capability", default=None)


class Launch(NamedTuple):
    """A grid of programs, and how their kernel is compiled."""

    module: str  # of the kernels; importing it needs Triton
    kernel: str
    programs: int
    warps: int
    constants: dict
    stages: int = 1  # tiles under way from memory
    # The mean of a program's passes through each of its loops; None: not known.
    passes: float | None = None


@contextlib.contextmanager
def compiling_for(compute_capability: int | None):
    """Within it, kernels are compiled for this GPU (90: H100) and not for the one here.

    jax-triton asks the device otherwise; to compile for one that is not here it has to
    be told. None: the one here.
    """
    token = _compute_capability.set(compute_capability)
    try:
        yield
    finally:
        _compute_capability.reset(token)


def compute_capability() -> int | None:
    """That of `compiling_for`, or of the GPU here (90: H100); None where there is none."""
    named = _compute_capability.get()
    if named is not None or not _any_gpu():
        return named
    return int(jax.devices("cuda")[0].compute_capability.replace(".", ""))


@functools.cache
def not_installed() -> str | None:
    """The package that has to be installed before a kernel can run, or None."""
    try:
        import jax_triton  # noqa: F401
        import triton  # noqa: F401
    except ImportError as error:  # jax_triton raises it without the CUDA plugin too
        reason = str(error).split(":")[0]
        return f'needs jax-triton: pip install "vidshift[cuda12]" ({reason})'
    return None


def run(launch: Launch, name: str, *arrays, out_shape, **constants):
    """Runs a kernel; `name` is what traces call it.

    Raises:
      NotImplementedError: no GPU is here, and none was named by `compiling_for`.
    """
    import jax_triton

    compute_capability = _compute_capability.get()
    if compute_capability is None and not _any_gpu():
        raise NotImplementedError(
            f"{name} is compiled for the GPU that is here, and here is none; "
            "vidshift.kernels.triton_gpu.compiling_for says for which other one"
        )
    return jax_triton.triton_call(
        *arrays,
        kernel=kernel_of(launch),
        out_shape=out_shape,
        grid=(launch.programs,),
        name=name,
        num_warps=launch.warps,
        num_stages=launch.stages,
        compute_capability=compute_capability,
        **launch.constants | constants,
    )


def kernel_of(launch: Launch):
    return getattr(importlib.import_module(launch.module), launch.kernel)


def _any_gpu() -> bool:
    try:
        return bool(jax.devices("cuda"))
    except RuntimeError:
        return False


def resources(launch: Launch, dtype, compute_capability: int, **constants) -> dict:
    """Returns what a kernel takes of an absent GPU, once it is compiled.

    Args:
      dtype: of the features.
      constants: those that are not the launch's.

    Returns:
      registers of a thread; spills: bytes of a thread's stack, where registers did not
      suffice; shared memory of a program, bytes; warps of a program; programs_an_sm: how
      many fit on one of an H100's cores; executed: instructions that a thread executes,
      where the launch knows the passes through its loops, else None; narrow: accesses to
      memory of fewer than 4 bytes a thread in the code; tensor_cores: whether its products
      go through Hopper's warp-group instructions.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constants = launch.constants | constants
    kernel = kernel_of(launch)
    features = f"*{TYPES[jnp.dtype(dtype).name]}"
    signature = {
        name: "constexpr"
        if name in constants
        else ("*fp32" if name in FLOAT32 else features)
        for name in kernel.arg_names
    }
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, kind in enumerate(signature.values())
        if kind != "constexpr"
    }
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.TemporaryDirectory() as folder, triton.knobs.cache.scope():
        triton.knobs.cache.dir = folder  # jax-triton takes Triton's own away
        compiled = triton.compile(
            ASTSource(kernel, signature, constexprs=constants, attrs=aligned),
            target=GPUTarget("cuda", compute_capability, 32),
            options={
                "num_warps": launch.warps,
                "num_stages": launch.stages,
                "enable_fp_fusion": True,
            },
        )
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(compiled.asm["cubin"])
        usage = _printed(tools / "cuobjdump", "--dump-resource-usage", cubin)
        code = sass.parse(_printed(tools / "nvdisasm", "-c", cubin))
    registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())
    shared = compiled.metadata.shared
    return {
        "registers": registers,
        "spills": stack,
        "shared": shared,
        "warps": launch.warps,
        "programs_an_sm": sass.programs_an_sm(registers, launch.warps, shared),
        "executed": sass.executed(code, launch.passes),
        "narrow": sass.narrow(code),
        "tensor_cores": "wgmma.mma_async" in compiled.asm["ptx"],
    }


def _printed(*command) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def most(each: list[dict]) -> dict:
    """The most that any of several kernels takes of each of the `resources`."""
    fewest = min(one["programs_an_sm"] for one in each)
    keys = ("registers", "spills", "shared", "warps", "tensor_cores")
    return {key: max(one[key] for one in each) for key in keys} | {
        "programs_an_sm": fewest
    }
