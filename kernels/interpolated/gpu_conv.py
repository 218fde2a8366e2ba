"""The shift and the product after it on an NVIDIA GPU: the launch of `gpu_conv_kernels`.

Forward, and for the weight's gradient, the shifted features are made in registers and
multiplied there. What goes back to x is a product by XLA and then the shift's own pass.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.interpolated import gpu
from kernels.interpolated.conv_xla import product_back
from kernels.interpolated.taps import nearest, out_sizes

# Places of a program, and its outputs at most: 64 sums in each thread of eight warps. With
# more of either the taps of a block of channels no longer fit in registers.
LANES = 64
MOST_OUTPUTS = {"forward": 256, "weight": 128}
WARPS = 8
CHANNELS = {"forward": 16, "weight": 32}  # of a block of x, multiplied at once
LEAST = 16  # of each side of a product
# Programs that keep a large GPU busy: two for each of an H100's cores.
PROGRAMS = 264


class ConvPlan(NamedTuple):
    """A launch: a grid of tiles, and how its kernel is compiled."""

    sizes: tuple[int, int, int]  # what the tiles cover: t, h, w of y
    tile: gpu.Tile  # its channels are those of a block of x
    tiles: int  # over the batch and the three axes
    blocks: tuple[int, int]  # of channels and of outputs
    parts: int  # of the weight's gradient
    constants: dict


def missing(x, outputs, *, stride, max_shift) -> str | None:
    """What keeps a call from running here, or None."""
    if math.prod((*x.shape[2:4], max(x.shape[4], outputs))) >= 2**31:
        return f"counts within a frame in 32 bits: H * W * K < 2**31, got K={outputs}"
    if x.shape[4] * outputs >= 2**31:
        return f"counts within the weight in 32 bits, got {x.shape[4]} x {outputs}"
    return gpu.missing(x, stride=stride, max_shift=max_shift)


def forward(x, shift, weight, scale, bias, *, stride, max_shift, whole, relu):
    """As `conv_xla.forward`."""
    outputs = weight.shape[1]
    plan = _plan("forward", x.shape, outputs, x.dtype.itemsize, stride, max_shift)
    y = jax.ShapeDtypeStruct((x.shape[0], *plan.sizes, outputs), x.dtype)
    return gpu.launch(
        "conv_forward_kernel",
        "shift3d_conv_forward_triton",
        *(x, nearest(shift) if whole else shift, weight, scale, bias),
        out_shape=y,
        programs=plan.tiles * plan.blocks[1],
        warps=WARPS,
        constants=plan.constants | {"WHOLE": whole, "RELU": relu},
    )


def backward(x, shift, weight, dy, *, stride, max_shift, whole):
    """As `conv_xla.backward`, with a part of each sum for some tiles."""
    dweight = _weight_parts(x, shift, dy, stride, max_shift, whole)
    dx, dshift = gpu.backward(
        x,
        shift,
        product_back(dy, weight),
        stride=stride,
        max_shift=max_shift,
        whole=whole,
    )
    return dx, dshift, dweight


def _weight_parts(x, shift, dy, stride, max_shift, whole):
    c, k = x.shape[4], dy.shape[4]
    plan = _plan("weight", x.shape, k, x.dtype.itemsize, stride, max_shift)
    return gpu.launch(
        "conv_weight_kernel",
        "shift3d_conv_weight_triton",
        *(x, nearest(shift) if whole else shift, dy),
        out_shape=jax.ShapeDtypeStruct((plan.parts, c, k), jnp.float32),
        programs=plan.parts * math.prod(plan.blocks),
        warps=WARPS,
        constants=plan.constants | {"WHOLE": whole},
    )


def _plan(direction, shape, outputs, itemsize, stride, max_shift) -> ConvPlan:
    b, *_, c = shape
    block_k = min(MOST_OUTPUTS[direction], max(LEAST, gpu.power_of_2(outputs)))
    block_c = min(CHANNELS[direction], max(LEAST, gpu.power_of_2(c)))
    of_shift = gpu.make_plan(
        "forward", shape, itemsize, stride, max_shift, False, lanes=LANES
    )
    sizes = of_shift.sizes
    tile = of_shift.tile._replace(channels=block_c)
    blocks = -(-c // block_c), -(-outputs // block_k)
    tiles = b * math.prod(out_sizes(sizes, tile[:3]))
    # Few places, many channels: a program then has fewer frames.
    while tile.frames > 1 and tiles * math.prod(blocks) < PROGRAMS:
        tile = tile._replace(frames=-(-tile.frames // 2))
        tiles = b * math.prod(out_sizes(sizes, tile[:3]))
    constants = of_shift.constants | {
        "K": outputs,
        "NEAR": of_shift.kernel.startswith("near"),
        **dict(zip(("TC", "PH", "PW", "P", "BC"), tile, strict=True)),
        "BK": block_k,
    }
    parts = 1
    if direction == "weight":
        run = -(-tiles // max(1, PROGRAMS // math.prod(blocks)))
        parts = -(-tiles // run)
        constants |= {"TILES": tiles, "RUN": run}
    return ConvPlan(sizes, tile, tiles, blocks, parts, constants)


def fetched_bytes(direction, shape, outputs, itemsize, *, stride, max_shift) -> int:
    """Bytes that the programs of a kernel load and store.

    The shift, the weight, scale and bias, which stay in a cache, are left out. As
    `gpu.fetched_bytes`; direction "weight" is the weight's gradient alone, "backward"
    that and the shift's own pass.
    """
    if direction == "backward":
        of = {"stride": stride, "max_shift": max_shift}
        weight = fetched_bytes("weight", shape, outputs, itemsize, **of)
        return weight + gpu.fetched_bytes("backward", shape, itemsize, **of)
    plan = _plan(direction, shape, outputs, itemsize, stride, max_shift)
    b, *_, c = shape
    x = b * c * itemsize * gpu.places_read(plan, shape)
    y = b * math.prod(plan.sizes) * outputs * itemsize
    if direction == "forward":
        return x * plan.blocks[1] + y
    return x * plan.blocks[1] + y * plan.blocks[0] + plan.parts * c * outputs * 4


def moves_fewer_bytes(shape, outputs, itemsize, direction, stride, max_shift) -> bool:
    """Whether the fused kernel of a direction moves less than the shift and the product.

    These write the shifted features and read them again. What both ways do alike is left
    out.
    """
    of = {"stride": stride, "max_shift": max_shift}
    shifted = gpu.fetched_bytes("forward", shape, itemsize, **of)
    places = shape[0] * math.prod(out_sizes(shape[1:4], stride))
    product = places * (shape[4] + outputs) * itemsize
    kernel = "forward" if direction == "forward" else "weight"
    fused = fetched_bytes(kernel, shape, outputs, itemsize, **of)
    return fused < shifted + product


def resources(
    direction,
    shape,
    outputs,
    dtype,
    *,
    stride,
    max_shift,
    whole=False,
    compute_capability=90,
) -> dict:
    """As `gpu.resources`; direction "weight" is the weight's gradient alone.

    "backward" is that or the shift's own pass, by each the more.
    """
    if direction == "backward":
        of = {"stride": stride, "max_shift": max_shift, "whole": whole}
        of |= {"compute_capability": compute_capability}
        both = (
            resources("weight", shape, outputs, dtype, **of),
            gpu.resources("backward", shape, dtype, **of),
        )
        return {key: max(each[key] for each in both) for key in both[0]}
    dtype = jnp.dtype(dtype)
    plan = _plan(direction, shape, outputs, dtype.itemsize, stride, max_shift)
    constants = plan.constants | {"WHOLE": whole}
    if direction == "forward":
        constants["RELU"] = True
    name = f"conv_{direction}_kernel"
    return gpu.kernel_resources(name, dtype, constants, WARPS, compute_capability)
