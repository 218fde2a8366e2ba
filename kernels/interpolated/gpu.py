"""The interpolated shift on an NVIDIA GPU, by jax-triton: the launch of `gpu_kernels`.

A program reads its tile of places with the halo around it, for a run of frames; where no
shift exceeds one place it keeps three frames in registers and so interpolates each once.
The gradients of x and of the shift come from one pass, the shift's as sums over tiles
that XLA adds up: the same from run to run.
"""

import contextlib
import contextvars
import functools
import math
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.interpolated.taps import nearest, out_sizes, reach

_absent = contextvars.ContextVar("compute_capability", default=None)


@contextlib.contextmanager
def compiling_for(compute_capability: int):
    """Within it, kernels are compiled for this GPU (90: H100) and not for the one here.

    jax-triton asks the device otherwise; to compile for one that is not here it has to
    be told.
    """
    token = _absent.set(compute_capability)
    try:
        yield
    finally:
        _absent.reset(token)


def missing(x, *, stride, max_shift) -> str | None:
    """What keeps a call from running here, or None. Any shift and stride is fine."""
    del stride, max_shift
    if math.prod(x.shape[2:]) >= 2**31:
        return f"counts within a frame in 32 bits: H * W * C < 2**31, got {x.shape}"
    return _not_installed()


@functools.cache
def _not_installed() -> str | None:
    try:
        import jax_triton  # noqa: F401
        import triton  # noqa: F401
    except ImportError as error:  # jax_triton raises it without the CUDA plugin too
        reason = str(error).split(":")[0]
        return f"needs jax-triton: pip install -r requirements-cuda.txt ({reason})"
    return None


def _any_gpu() -> bool:
    try:
        return bool(jax.devices("cuda"))
    except RuntimeError:
        return False


class Tile(NamedTuple):
    """What a program computes: frames, rows and columns of places, channels."""

    frames: int
    rows: int
    columns: int
    lanes: int  # at least rows * columns, a power of two
    channels: int


class Plan(NamedTuple):
    """A launch: a grid of tiles, and how its kernel is compiled."""

    kernel: str
    sizes: tuple[int, int, int]  # what the tiles cover: t, h, w
    tile: Tile
    tiles: int  # over the batch and the three axes
    programs: int  # tiles times blocks of channels
    warps: int
    constants: dict


# Frames of a program: each run of them reads one more frame on either side.
FRAMES = 16
# Places of a program. Forward they have to be many, for a halo of little weight; backward
# it is one of three arrays that has a halo, and more programs fit on a core.
# Shifts of several places have a wide halo, so twice as many.
LANES = {"forward": 256, "backward": 128}
# Numbers of a tensor in a thread, next to each other in memory. With more of them the
# channels' weights and the nine taps take so many registers that few warps fit.
VECTOR = 4
# Numbers of a tensor in a program, unless its channels make more of them.
ELEMENTS = 2048
SECTOR_BYTES = 32  # what the memory is read by: a block's channels fill one


def forward(x, shift, *, stride, max_shift, whole):
    """As `xla.forward`."""
    plan = make_plan("forward", x.shape, x.dtype.itemsize, stride, max_shift, whole)
    y = jax.ShapeDtypeStruct((x.shape[0], *plan.sizes, x.shape[4]), x.dtype)
    shift = nearest(shift) if whole else shift
    return _launch("forward", plan, x, shift, out_shape=y)


def backward(x, shift, dy, *, stride, max_shift, whole):
    """As `xla.backward`, with a part of the shift's gradient for each tile."""
    plan = make_plan("backward", x.shape, x.dtype.itemsize, stride, max_shift, whole)
    dx = jax.ShapeDtypeStruct(x.shape, x.dtype)
    parts = jax.ShapeDtypeStruct((plan.tiles, 3, x.shape[4]), jnp.float32)
    return _launch(
        "backward", plan, x, shift, nearest(shift), dy, out_shape=(dx, parts)
    )


def make_plan(direction, shape, itemsize, stride, max_shift, whole, lanes=None) -> Plan:
    b, t, h, w, c = shape
    window = reach(max_shift, (t, h, w)) or (t, h, w)
    near = (
        max_shift is not None
        and max(max_shift) <= 1
        and stride[0] == 1
        and math.prod(stride) <= 4  # backward each phase is a text of its own
    )
    sizes = out_sizes((t, h, w), stride)
    if direction == "backward":
        # A tile of dx is all that a tile of dy was read from, but for the frames.
        sizes = (t, *sizes[1:])
    wide = max(window[1:]) > 1
    lanes = lanes or LANES[direction] * (2 if wide else 1)
    tile = _tile(sizes, c, itemsize, lanes, wide)
    tiles = b * math.prod(out_sizes(sizes, tile[:3]))
    constants = {
        **dict(zip(("T", "H", "W", "C"), shape[1:], strict=True)),
        **dict(zip(("ST", "SH", "SW"), stride, strict=True)),
        **dict(zip(("RT", "RH", "RW"), window, strict=True)),
        **dict(zip(("TC", "PH", "PW", "P", "BC"), tile, strict=True)),
        "WHOLE": whole,
        "VECTOR": VECTOR,
    }
    return Plan(
        f"{'near' if near else 'far'}_{direction}_kernel",
        sizes,
        tile,
        tiles,
        tiles * -(-c // tile.channels),
        max(1, min(32, tile.lanes * tile.channels // VECTOR // 32)),
        constants,
    )


def _tile(sizes, channels, itemsize, lanes, wide) -> Tile:
    """The tile, in even parts of the map, with the fewest idle lanes and places around."""
    t, h, w = sizes
    lanes = min(lanes, max(16, power_of_2(h * w)))

    def parts(rows):
        columns = min(w, lanes // rows)
        return -(-h // -(-h // rows)), -(-w // -(-w // columns))

    def cost(tile):
        rows, columns = tile
        tiles = -(-h // rows) * -(-w // columns)
        return tiles * (lanes + (rows + 2) * (columns + 2))

    rows, columns = min(map(parts, range(1, min(h, lanes) + 1)), key=cost)
    block = max(ELEMENTS // lanes, 8 if wide else SECTOR_BYTES // itemsize)
    block = min(block, max(VECTOR, power_of_2(channels)))
    return Tile(-(-t // -(-t // FRAMES)), rows, columns, lanes, block)


def power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _launch(direction, plan: Plan, *args, out_shape):
    return launch(
        plan.kernel,
        f"shift3d_{direction}_triton",
        *args,
        out_shape=out_shape,
        programs=plan.programs,
        warps=plan.warps,
        constants=plan.constants,
    )


def launch(kernel, name, *args, out_shape, programs, warps, constants):
    """The kernel called `kernel`, of either file of them, on a grid of programs."""
    import jax_triton

    if _absent.get() is None and not _any_gpu():
        raise NotImplementedError(
            f"{name} is compiled for the GPU that is here, and here is none; "
            "kernels.interpolated.gpu.compiling_for says for which other one"
        )
    return jax_triton.triton_call(
        *args,
        kernel=_kernel(kernel),
        out_shape=out_shape,
        grid=(programs,),
        name=name,
        num_warps=warps,
        num_stages=1,  # the taps are in the L1 cache: no copies of them to shared memory
        compute_capability=_absent.get(),
        **constants,
    )


def _kernel(name: str):
    if name.startswith("conv"):
        from kernels.interpolated import gpu_conv_kernels as kernels
    else:
        from kernels.interpolated import gpu_kernels as kernels
    return getattr(kernels, name)


def fetched_bytes(direction, shape, itemsize, *, stride, max_shift) -> int:
    """The bytes that the programs of one call load and store, the shift left out.

    An element that a program loads several times counts once for it, and again for every
    other program. The taps are those of the whole window, or with no bound of the whole
    clip; the kernel for such shifts loads only taps that some channel has.
    """
    plan = make_plan(direction, shape, itemsize, stride, max_shift, False)
    b, *sizes, c = shape
    if direction == "forward":
        return b * c * itemsize * (places_read(plan, shape) + math.prod(plan.sizes))
    axes = zip(sizes, plan.tile[:3], stride, _farthest(plan), strict=True)
    dy = math.prod(
        _read_back(n, part if axis == 0 else part * st, st, r)
        for axis, (n, part, st, r) in enumerate(axes)
    )
    parts = plan.tiles * 3 * c * 4
    return b * c * itemsize * (dy + 2 * math.prod(sizes)) + parts


def places_read(plan, shape) -> int:
    """Of a clip of x, by the tiles of a plan going forward, summed over tiles."""
    stride = [plan.constants[name] for name in ("ST", "SH", "SW")]
    axes = zip(
        shape[1:4], plan.sizes, plan.tile[:3], stride, _farthest(plan), strict=True
    )
    return math.prod(_read(*axis) for axis in axes)


def _farthest(plan) -> list[int]:
    return [plan.constants[name] for name in ("RT", "RH", "RW")]


def _read(n: int, n2: int, part: int, st: int, r: int) -> int:
    """Places on an axis of n that the parts of its n2 outputs read, summed over parts."""
    return sum(
        len(
            {
                place
                for o in range(first, min(first + part, n2))
                for place in range(max(0, o * st - r), min(n, o * st + r + 1))
            }
        )
        for first in range(0, n2, part)
    )


def _read_back(n: int, part: int, st: int, r: int) -> int:
    """Outputs that the parts of an axis of n places went to, summed over parts."""
    return sum(
        len(
            {
                place // st
                for i in range(first, min(first + part, n))
                for place in range(max(0, i - r), min(n, i + r + 1))
                if place % st == 0
            }
        )
        for first in range(0, n, part)
    )


def resources(
    direction, shape, dtype, *, stride, max_shift, whole=False, compute_capability=90
) -> dict:
    """What the compiled kernel takes of an absent GPU; see `kernel_resources`."""
    dtype = jnp.dtype(dtype)
    plan = make_plan(direction, shape, dtype.itemsize, stride, max_shift, whole)
    return kernel_resources(
        plan.kernel, dtype, plan.constants, plan.warps, compute_capability
    )


def kernel_resources(name, dtype, constants, warps, compute_capability=90) -> dict:
    """What a compiled kernel takes of an absent GPU.

    Returns:
      registers of a thread; spills: bytes of a thread's stack, where registers did not
      suffice; shared memory of a program, bytes; warps of a program.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = _kernel(name)
    features = {"bfloat16": "*bf16", "float32": "*fp32"}[jnp.dtype(dtype).name]
    wide = ("shift_ptr", "whole_ptr", "parts_ptr", "scale_ptr", "bias_ptr")
    signature = {
        name: "constexpr"
        if name in constants
        else ("*fp32" if name in wide else features)
        for name in kernel.arg_names
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
            ASTSource(kernel, signature, constexprs=constants, attrs=aligned),
            target=GPUTarget("cuda", compute_capability, 32),
            options={
                "num_warps": warps,
                "num_stages": 1,
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
        "warps": warps,
    }
