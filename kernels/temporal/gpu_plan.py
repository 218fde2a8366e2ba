"""The temporal shift's launches on an NVIDIA GPU: grids, tiles, warps, and why."""

import math
from typing import NamedTuple

VECTOR_BYTES = 16  # the longest load of a thread
SHIFT_BYTES = 2**14  # of a program that only moves: four such loads a thread
# Programs that share out the rows of dw, by the size of a number: one for each
# multiprocessor of an H100. More of them write more partial sums. Without tensor cores
# they have small tiles.
PROGRAMS = {2: 132, 4: 4 * 132}
# Epilogue of the convolution: what it multiplies, adds, and cuts off.
NO_EPILOGUE = {"SCALE": False, "BIAS": False, "RELU": False}


class Plan(NamedTuple):
    """A launch: a grid of tiles, and how its kernel is compiled."""

    kernel: str
    programs: int
    warps: int
    stages: int  # tiles under way from memory
    constants: dict
    parts: int = 1  # runs of rows that are summed apart


def plan(
    name,
    shape,
    itemsize,
    *,
    fold,
    direction,
    out_channels=0,
    reverse=False,
    epilogue=None,
) -> Plan:
    """The launch of one of `gpu`'s functions.

    Args:
      name: "shift", "shift_conv", "shift_conv_dx" or "shift_conv_dw".
      shape: of x, `[A, T, R, C]`.
      reverse: the transpose of the shift, as that of dx always is.
      epilogue: as `NO_EPILOGUE`, of "shift_conv".
    """
    _, t, r, c = shape
    rows = math.prod(shape[:3])
    first, second = (-1, 0) if direction == "past" else (1, -1)
    sign = -1 if reverse or name == "shift_conv_dx" else 1
    constants = {
        "ROWS": rows,
        "T": t,
        "R": r,
        "C": c,
        "FOLD": fold,
        "FIRST": sign * first,
        "SECOND": sign * second,
    }
    # A load must not cross from one fold to the next, nor from row to row.
    vector = math.gcd(fold, c, VECTOR_BYTES // itemsize)
    if name == "shift":
        block = SHIFT_BYTES // itemsize
        constants |= {"BLOCK": block, "VECTOR": vector}
        return Plan("shift_kernel", -(-rows * c // block), 8, 1, constants)
    choose = {
        "shift_conv": _forward_tile,
        "shift_conv_dx": _dx_tile,
        "shift_conv_dw": _dw_tile,
    }[name]
    tile, warps, stages = choose(rows, c, out_channels, fold, itemsize)
    constants |= {"K": out_channels, **dict(zip(("BR", "BC", "BK"), tile, strict=True))}
    row_tiles, channel_tiles, filter_tiles = tiles((rows, c, out_channels), constants)
    parts = 1
    if name == "shift_conv":
        constants |= {"VECTOR": vector, **(epilogue or NO_EPILOGUE)}
        programs = row_tiles * filter_tiles
    elif name == "shift_conv_dx":
        programs = row_tiles * channel_tiles
    else:
        of_result = channel_tiles * filter_tiles
        wanted = max(1, PROGRAMS[itemsize] // of_result)
        tiles_of_part = -(-row_tiles // wanted)
        parts = -(-row_tiles // tiles_of_part)
        constants |= {"VECTOR": vector, "PART": tiles_of_part * tile[0]}
        programs = parts * of_result
    return Plan(f"{name}_kernel", programs, warps, stages, constants, parts)


def tiles(sizes, constants) -> tuple[int, ...]:
    """How many tiles cover so many rows, channels and filters."""
    blocks = [constants[name] for name in ("BR", "BC", "BK")]
    return tuple(-(-n // block) for n, block in zip(sizes, blocks, strict=True))


# The tiles are (rows, channels, filters). bfloat16 goes through the tensor cores, which
# take 64 rows for four warps. float32 has none without losing bits: its products are
# multiply-adds whose operands are in registers, so its tiles are small.


def _forward_tile(rows, c, k, fold, itemsize):
    if itemsize == 4:
        tile = _up_to(64, rows), _depth(c, fold, 16, 32), _up_to(64, k)
        return tile, 8, 3
    filters = _up_to(128, k)
    tile = _up_to(128, rows), _depth(c, fold, 32, 64), filters
    return tile, 8 if filters > 64 else 4, 4 if filters <= 64 else 3


def _dx_tile(rows, c, k, fold, itemsize):
    """Of the blocks of channels the one whose programs load least.

    Of several frames a wide one would take the registers of a second program beside it.
    """
    block_rows = _up_to(64 if itemsize == 4 else 128, rows)
    most = 128 if itemsize == 2 and fold % 128 == 0 else 64

    def loads(block):
        groups = range(fold), range(fold, 2 * fold), range(2 * fold, c)
        products = sum(
            max(start, group.start) < min(start + block, group.stop)
            for start in range(0, c, block)
            for group in groups
        )
        return products * (block_rows + block)

    blocks = [b for b in (16, 32, 64, 128) if b <= _up_to(most, c)]
    block = min(reversed(blocks), key=loads)
    tile = block_rows, block, _up_to(32 if itemsize == 4 else 64, k)
    return tile, 8 if block > 64 or itemsize == 4 else 4, 3


def _dw_tile(rows, c, k, fold, itemsize):
    del fold  # the channels are not what is summed over: their frames may differ
    if itemsize == 4:
        return (_up_to(16, rows), _up_to(64, c), _up_to(64, k)), 8, 3
    return (_up_to(64, rows), _up_to(128, c), _up_to(128, k)), 8, 3


def _depth(c, fold, least, most) -> int:
    """Channels of a step of the sum: of one source frame, if they are not too few."""
    block = math.gcd(fold, most) if fold else most
    return min(block if block >= least else most, _up_to(most, c))


def _up_to(most: int, n: int) -> int:
    """The power of two that holds n, between the least of `tl.dot`, 16, and most."""
    return min(most, max(16, 1 << (n - 1).bit_length()))
