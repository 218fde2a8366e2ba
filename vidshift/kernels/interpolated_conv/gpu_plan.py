"""Tiles of the kernels of a shift and its product on an NVIDIA GPU, and their bytes."""

import math
from typing import NamedTuple

from vidshift.kernels.interpolated import gpu_plan
from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.taps import out_sizes
from vidshift.kernels.triton_gpu import Launch

# Places of a program, and its outputs at most: with more of either the taps of a block of
# channels no longer fit in registers. Each block of outputs shifts x again.
LANES = 64
MOST_OUTPUTS = 256
# Of the weight's gradient, such blocks take all 255 registers of a thread; for more outputs
# than these the addresses do not fit beside them.
WIDE_OUTPUTS, NARROW_BLOCK = 512, 128
WARPS = 8
CHANNELS = {"forward": 16, "weight": 32}  # of a block of x, multiplied at once
LEAST = 16  # of each side of a product
# Programs that keep a large GPU busy: two for each of an H100's cores. Registers leave room
# for one at a time, so they run in two waves.
PROGRAMS = 264


class ConvPlan(NamedTuple):
    """A grid of tiles, and the launch of the kernel that computes them."""

    sizes: tuple[int, int, int]  # what the tiles cover: t, h, w of y
    tile: gpu_plan.Tile  # its channels are those of a block of x
    blocks: tuple[int, int]  # of channels and of outputs
    parts: int  # of the weight's gradient
    launch: Launch


def make_conv_plan(direction, shape, outputs, itemsize, stride, max_shift) -> ConvPlan:
    b, *_, c = shape
    narrow = direction == "weight" and outputs > WIDE_OUTPUTS
    most = NARROW_BLOCK if narrow else MOST_OUTPUTS
    block_k = min(most, max(LEAST, gpu_plan.power_of_2(outputs)))
    block_c = min(CHANNELS[direction], max(LEAST, gpu_plan.power_of_2(c)))
    of_shift = gpu_plan.make_plan(
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
    constants = of_shift.launch.constants | {
        "K": outputs,
        "NEAR": of_shift.near,
        **dict(zip(("TC", "PH", "PW", "P", "BC"), tile, strict=True)),
        "BK": block_k,
    }
    parts, programs = 1, tiles * blocks[1]
    if direction == "weight":
        run = -(-tiles // max(1, PROGRAMS // math.prod(blocks)))
        parts = -(-tiles // run)
        programs = parts * math.prod(blocks)
        constants |= {"TILES": tiles, "RUN": run}
    module, kernel = (
        "vidshift.kernels.interpolated_conv.gpu_kernels",
        f"conv_{direction}_kernel",
    )
    launch = Launch(module, kernel, programs, WARPS, constants)
    return ConvPlan(sizes, tile, blocks, parts, launch)


def fetched_bytes(
    direction, shape, itemsize, *, out_channels, stride, max_shift
) -> int:
    """Bytes that the programs of a kernel load and store.

    The shift, the weight, scale and bias, which stay in a cache, are left out. Otherwise
    as `vidshift.kernels.interpolated.gpu_plan.fetched_bytes` counts. Direction "weight" is the
    weight's gradient alone, "backward" the shift's own pass too.
    """
    shift = {"stride": stride, "max_shift": max_shift}
    if direction == "backward":
        weight = fetched_bytes(
            "weight", shape, itemsize, out_channels=out_channels, **shift
        )
        return weight + gpu_plan.fetched_bytes("backward", shape, itemsize, **shift)
    plan = make_conv_plan(direction, shape, out_channels, itemsize, **shift)
    b, *_, c = shape
    x = b * c * itemsize * gpu_plan.places_read(plan, shape)
    y = b * math.prod(plan.sizes) * out_channels * itemsize
    if direction == "forward":
        return x * plan.blocks[1] + y
    return x * plan.blocks[1] + y * plan.blocks[0] + plan.parts * c * out_channels * 4


def moves_fewer_bytes(x, piece, spec: ShiftSpec) -> bool:
    """Tells if a piece's fused kernel moves less than the shift and the product.

    These write the shifted features and read them again. Bytes that both ways move alike
    are left out.
    """
    shift = {"stride": spec.stride, "max_shift": spec.max_shift}
    outputs, itemsize = spec.out_channels, x.dtype.itemsize
    shifted = gpu_plan.fetched_bytes("forward", x.shape, itemsize, **shift)
    places = x.shape[0] * math.prod(out_sizes(x.shape[1:4], spec.stride))
    product = places * (x.shape[4] + outputs) * itemsize
    kernel = "forward" if piece == "forward" else "weight"
    fused = fetched_bytes(kernel, x.shape, itemsize, out_channels=outputs, **shift)
    return fused < shifted + product
