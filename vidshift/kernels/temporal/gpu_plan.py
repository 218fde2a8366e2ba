"""Tiles of the temporal shift's kernels on an NVIDIA GPU, and the bytes that they move."""

import math
from typing import NamedTuple

from vidshift.kernels.triton_gpu import Launch

VECTOR_BYTES = 16  # the longest load of a thread
SHIFT_BYTES = 2**14  # of a program that only moves: four such loads a thread
MULTIPROCESSORS = 132  # of an H100
# Shared memory of a multiprocessor by compute capability, of which each program takes 1 KB
# more than it asks for (CUDA C++ Programming Guide, table of technical specifications).
SHARED_BYTES = {80: 164 * 2**10, 87: 164 * 2**10, 90: 228 * 2**10, 100: 228 * 2**10}
LEAST_SHARED_BYTES, OWN_BYTES = 100 * 2**10, 2**10  # of the others from 8.0
H100 = 90
# Epilogue of the convolution: what it multiplies, adds, and cuts off.
NO_EPILOGUE = {"SCALE": False, "BIAS": False, "RELU": False}


class Tile(NamedTuple):
    """A program's block of rows, channels and filters, and how it is computed."""

    rows: int
    channels: int
    filters: int
    warps: int
    stages: int  # blocks under way from memory
    resident: int  # programs that a multiprocessor has room for


class Plan(NamedTuple):
    """The launch of a kernel, which may make several parts of a sum."""

    launch: Launch
    parts: int = 1  # runs of rows that are summed apart
    runs: int = 1  # programs that share out the tiles of rows


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
    compute_capability=H100,
) -> Plan:
    """The launch of a kernel.

    Args:
      name: "shift", "shift_conv", "shift_conv_dx" or "shift_conv_dw".
      shape: of x, `[A, T, R, C]`.
      reverse: the transpose of the shift, of "shift".
      epilogue: as `NO_EPILOGUE`, of "shift_conv".
      compute_capability: of the GPU, whose shared memory the tiles have to fit in.
    """
    _, t, r, c = shape
    count = math.prod(shape[:3])
    first, second = (-1, 0) if direction == "past" else (1, -1)
    sign = -1 if reverse else 1
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
    constants["VECTOR"] = vector
    if name == "shift":
        block = SHIFT_BYTES // itemsize
        constants["BLOCK"] = block
        return _launch(name, -(-count * c // block), 8, 1, constants)
    choose = {
        "shift_conv": _forward_tile,
        "shift_conv_dx": _dx_tile,
        "shift_conv_dw": _dw_tile,
    }[name]
    shared = SHARED_BYTES.get(compute_capability, LEAST_SHARED_BYTES)
    tile = choose(count, c, out_channels, fold, itemsize, shared)
    constants |= {
        "K": out_channels,
        "BR": tile.rows,
        "BC": tile.channels,
        "BK": tile.filters,
    }
    row_tiles, channel_tiles, filter_tiles = tiles((count, c, out_channels), constants)
    # Tiles of rows are shared out to so many programs that all run at once.
    of_result = {
        "shift_conv": filter_tiles,
        "shift_conv_dx": channel_tiles,
        "shift_conv_dw": channel_tiles * filter_tiles,
    }[name]
    wanted = max(1, tile.resident * MULTIPROCESSORS // of_result)
    parts, runs = 1, row_tiles
    if name == "shift_conv":
        constants |= epilogue or NO_EPILOGUE
    if name != "shift_conv_dw":
        kept = channel_tiles if name == "shift_conv" else filter_tiles
        if kept == 1:
            runs = min(row_tiles, wanted)
        constants["STRIDE"] = runs
        programs = runs * of_result
    else:
        tiles_of_part = -(-row_tiles // wanted)
        parts = runs = -(-row_tiles // tiles_of_part)
        constants["PART"] = tiles_of_part * tile.rows
        programs = parts * of_result
    return _launch(name, programs, tile.warps, tile.stages, constants, parts, runs)


def _launch(name, programs, warps, stages, constants, parts=1, runs=1) -> Plan:
    module, kernel = "vidshift.kernels.temporal.gpu_kernels", f"{name}_kernel"
    launch = Launch(module, kernel, programs, warps, constants, stages)
    return Plan(launch, parts, runs)


def tiles(sizes, constants) -> tuple[int, ...]:
    """Tiles that cover these numbers of rows, channels and filters."""
    blocks = [constants[name] for name in ("BR", "BC", "BK")]
    return tuple(-(-n // block) for n, block in zip(sizes, blocks, strict=True))


# bfloat16 goes through the tensor cores, which take 64 rows for four warps. Large tiles
# load the fewest bytes, and their sums fill the registers of a multiprocessor: 128 in each
# thread of eight warps. float32 has no tensor cores without losing bits: its products are
# multiply-adds whose operands are in registers, so its tiles are small.
MOST_SUMS = 128 * 256
MOST_KEPT = 256  # channels of a sum whose weights a program keeps
# With fewer stages no load is under way during a product: of n stages, Triton waits before
# each product until n - 2 loads are left, and starts the next one after it.
AHEAD = 3


def _forward_tile(rows, c, k, fold, itemsize, shared) -> Tile:
    if itemsize == 4:
        depth = _depth(c, fold, 16, 32)
        return Tile(_up_to(64, rows), depth, _up_to(64, k), 8, 3, 2)
    (block_rows, depth, filters), run = _product(
        rows, c, k, _depth(c, fold, 32, 64), itemsize, shared
    )
    return Tile(block_rows, depth, filters, *run)


def _dx_tile(rows, c, k, fold, itemsize, shared) -> Tile:
    del fold  # each channel is stored by itself, whatever its frame
    if itemsize == 4:
        return Tile(_up_to(64, rows), _up_to(64, c), _up_to(32, k), 8, 3, 2)
    (block_rows, depth, channels), run = _product(rows, k, c, 64, itemsize, shared)
    return Tile(block_rows, channels, depth, *run)


def _product(rows, depth, columns, step, itemsize, shared):
    """The tile of a product `[rows, depth] @ [depth, columns]`: three sides, and `_run`.

    Up to a depth of 256 the weights of a tile's columns stay in shared memory, while the
    program goes from tile to tile of rows: of as many columns as leave room for loads.
    Otherwise a sum has steps.
    """
    high, deep, wide = _up_to(64, rows), _up_to(256, depth), _up_to(256, columns)
    while depth <= MOST_KEPT and wide >= min(64, _up_to(64, columns)):
        # The weights, and the result on its way from the tensor cores' order to rows.
        kept = deep * wide * itemsize + high * wide
        run = _run(high * wide, high * deep * itemsize, shared, kept)
        if run[1] >= AHEAD:
            return (high, deep, wide), run
        wide //= 2
    high, wide = _product_sides(rows, columns)
    # The addresses of 256 rows and 64 channels do not fit beside their sums.
    step, most = (step, 4) if high < 256 else (min(32, step), 6)
    run = _run(high * wide, (high + wide) * step * itemsize, shared, most=most)
    return (high, step, wide), run


def _dw_tile(rows, c, k, fold, itemsize, shared) -> Tile:
    del fold  # the channels are not what is summed over: their frames may differ
    if itemsize == 4:
        return Tile(_up_to(16, rows), _up_to(64, c), _up_to(64, k), 8, 3, 4)
    filters = _up_to(256, k)
    channels = _up_to(min(256, MOST_SUMS // filters), c)
    block_rows = _up_to(64 if channels * filters > MOST_SUMS // 2 else 32, rows)
    stage = block_rows * (channels + filters) * itemsize
    run = _run(channels * filters, stage, shared)
    return Tile(block_rows, channels, filters, *run)


def _product_sides(rows, columns) -> tuple[int, int]:
    """A tile's rows and columns: the largest with work for two of three multiprocessors."""
    wide = _up_to(256, columns)
    high = _up_to(min(256, MOST_SUMS // wide), rows)
    while max(high, wide) > 64 and (
        -(-rows // high) * -(-columns // wide) < 2 * MULTIPROCESSORS // 3
    ):
        high, wide = (high, wide // 2) if wide >= high else (high // 2, wide)
    return high, wide


def _run(sums: int, stage_bytes: int, shared: int, kept_bytes: int = 0, *, most=4):
    """Warps, stages, and programs of a multiprocessor, of a tile with so many sums.

    Two programs share it, one to compute while one waits, if two tiles' sums and stages
    fit.
    """
    warps = 8 if max(2 * sums, stage_bytes) > 2**14 else 4
    both, alone = (
        min(most, (shared // resident - OWN_BYTES - kept_bytes) // stage_bytes)
        for resident in (2, 1)
    )
    if both >= AHEAD and 2 * sums <= MOST_SUMS:
        return warps, both, 2
    return warps, alone, 1


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
    launch, parts, runs = plan(name, shape, itemsize, **of)
    count, c = math.prod(shape[:3]), shape[3]
    moved = _moved_elements(shape, fold, direction)
    if name == "shift":
        return (moved + count * c) * itemsize
    _, channel_tiles, filter_tiles = tiles((count, c, k), launch.constants)
    if name == "shift_conv":
        return itemsize * (filter_tiles * moved + runs * c * k + count * k)
    if name == "shift_conv_dw":
        loads = filter_tiles * moved + channel_tiles * count * k
        return itemsize * loads + parts * c * k * 4
    return itemsize * (channel_tiles * count * k + runs * c * k + count * c)


def _moved_elements(shape, fold, direction) -> int:
    """Elements of x that the shift reads: all but those that leave their clip."""
    a, _, r, _ = shape
    return math.prod(shape) - a * r * fold * (1 if direction == "past" else 2)


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
