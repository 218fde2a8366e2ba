"""Tiles of the temporal shift's kernels on an NVIDIA GPU, and the bytes that they move."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from vidshift.kernels.triton_gpu import Launch

VECTOR_BYTES = 16  # the longest load of a thread
SHIFT_BYTES = 2**14  # of a program that only moves: four such loads a thread
# Programs that share out the rows of dw, by the size of a number: one for each
# multiprocessor of an H100. More of them write more partial sums. Without tensor cores
# they have small tiles.
PROGRAMS = {2: 132, 4: 4 * 132}
# Epilogue of the convolution: what it multiplies, adds, and cuts off.
NO_EPILOGUE = {"SCALE": False, "BIAS": False, "RELU": False}


class Plan(NamedTuple):
    """The launch of a kernel, which may make several parts of a sum."""

    launch: Launch
    parts: int = 1  # runs of rows that are summed apart


def kernel_shape(shape) -> tuple[int, int, int, int]:
    """`[A, T, R, C]` of clips `[B, T, ..., C]`."""
    return (*shape[:2], math.prod(shape[2:-1]), shape[-1])


def kernel_calls(
    pass_name, /, *, out_channels=None, fold, direction="both"
) -> list[tuple[str, dict]]:
    """The kernels of "forward" or "backward": names and options of `plan`."""
    call = {"fold": fold, "direction": direction}
    if out_channels is None:
        return [("shift", call | {"reverse": pass_name == "backward"})]
    names = {"forward": ["shift_conv"], "backward": ["shift_conv_dx", "shift_conv_dw"]}
    return [(name, call | {"out_channels": out_channels}) for name in names[pass_name]]


def plan(
    name,
    shape,
    itemsize,
    *,
    fold,
    direction="both",
    out_channels=0,
    reverse=False,
    epilogue=None,
) -> Plan:
    """The launch of a kernel.

    Args:
      name: "shift", "shift_conv", "shift_conv_dx" or "shift_conv_dw".
      shape: of x, `[A, T, R, C]`.
      reverse: the transpose of the shift, as that of dx always is.
      epilogue: as `NO_EPILOGUE`, of "shift_conv".
    """
    _, t, r, c = shape
    count = math.prod(shape[:3])
    first, second = (-1, 0) if direction == "past" else (1, -1)
    sign = -1 if reverse or name == "shift_conv_dx" else 1
    constants = {
        "ROWS": count,
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
        return _launch(name, -(-count * c // block), 8, 1, constants)
    choose = {
        "shift_conv": _forward_tile,
        "shift_conv_dx": _dx_tile,
        "shift_conv_dw": _dw_tile,
    }[name]
    tile, warps, stages = choose(count, c, out_channels, fold, itemsize)
    constants |= {"K": out_channels, **dict(zip(("BR", "BC", "BK"), tile, strict=True))}
    row_tiles, channel_tiles, filter_tiles = tiles((count, c, out_channels), constants)
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
    return _launch(name, programs, warps, stages, constants, parts)


def _launch(name, programs, warps, stages, constants, parts=1) -> Plan:
    module, kernel = "vidshift.kernels.temporal.gpu_kernels", f"{name}_kernel"
    return Plan(Launch(module, kernel, programs, warps, constants, stages), parts)


def tiles(sizes, constants) -> tuple[int, ...]:
    """Tiles that cover these numbers of rows, channels and filters."""
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
    """Chooses the block of channels whose programs load least.

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


def fetched_bytes(pass_name, shape, itemsize, /, **options) -> int:
    """Bytes that the kernels of "forward" or "backward" load and store.

    Args:
      shape: of the clips.
      options: `out_channels`, if there is a convolution, and those of the shift.
    """
    return sum(
        kernel_bytes(name, kernel_shape(shape), itemsize, **call)
        for name, call in kernel_calls(pass_name, **options)
    )


def kernel_bytes(
    name, shape, itemsize, *, fold, direction, out_channels=0, reverse=False
) -> int:
    """The bytes that the programs of one call load and store, from and to the L2 cache.

    An element that a program loads several times counts once for it, and again for every
    other program: so do the weights, and features where filters take several programs.
    `least_bytes` is what has to come from memory. Scale and bias are left out.

    Args:
      name: "shift", "shift_conv", "shift_conv_dx" or "shift_conv_dw".
      shape: of x, `[A, T, R, C]`.
      out_channels: of the convolution after the shift.
      reverse: as `plan`'s.
    """
    k = out_channels
    of = {"fold": fold, "direction": direction, "out_channels": k, "reverse": reverse}
    launch, parts = plan(name, shape, itemsize, **of)
    count, c = math.prod(shape[:3]), shape[3]
    moved = _moved_elements(shape, fold, direction)
    if name == "shift":
        return (moved + count * c) * itemsize
    row_tiles, channel_tiles, filter_tiles = tiles((count, c, k), launch.constants)
    if name == "shift_conv":
        return itemsize * (filter_tiles * moved + row_tiles * c * k + count * k)
    if name == "shift_conv_dw":
        loads = filter_tiles * moved + channel_tiles * count * k
        return itemsize * loads + parts * c * k * 4
    return itemsize * (_dz_rows(launch.constants) * k + row_tiles * c * k + count * c)


def _moved_elements(shape, fold, direction) -> int:
    """Elements of x that the shift reads: all but those that leave their clip."""
    a, _, r, _ = shape
    return math.prod(shape) - a * r * fold * (1 if direction == "past" else 2)


def _dz_rows(n: dict) -> int:
    """Rows of dz that the programs of dx load, one that several frames need once."""
    groups = (
        (n["FIRST"], range(n["FOLD"])),
        (n["SECOND"], range(n["FOLD"], 2 * n["FOLD"])),
        (0, range(2 * n["FOLD"], n["C"])),
    )
    blocks = Counter(
        frozenset(
            step
            for step, channels in groups
            if max(c0, channels.start) < min(c0 + n["BC"], channels.stop)
        )
        for c0 in range(0, n["C"], n["BC"])
    )
    row = np.arange(n["ROWS"])
    tile = row // n["BR"] * 2**40
    total = 0
    for steps, count in blocks.items():
        read = [
            (tile + row + step * n["R"])[_within(row // n["R"] % n["T"] + step, n["T"])]
            for step in steps
        ]
        total += count * len(np.unique(np.concatenate(read)))
    return total


def _within(frame, frames):
    return (frame >= 0) & (frame < frames)


def least_bytes(name, shape, itemsize, *, fold, direction, out_channels=0) -> int:
    """The bytes of one call between memory and the L2 cache, if that forgets nothing.

    Each operand once, each result once; dw's sums over runs of rows twice, as they are
    written and then added up.
    """
    count, c = math.prod(shape[:3]), shape[3]
    if name == "shift":
        return (_moved_elements(shape, fold, direction) + count * c) * itemsize
    k = out_channels
    features = count * (c + k) * itemsize
    if name != "shift_conv_dw":
        return features + c * k * itemsize
    of = {"fold": fold, "direction": direction, "out_channels": k}
    parts = plan(name, shape, itemsize, **of).parts
    return features + (2 * parts + 1) * c * k * 4
