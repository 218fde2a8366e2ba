"""Tiles of the shift's kernels on an NVIDIA GPU, and the bytes that their grids move."""

import math
from typing import NamedTuple

from vidshift.kernels.interpolated.gpu_rows_plan import rows_fetched_bytes, serves
from vidshift.kernels.interpolated.taps import out_sizes, reach
from vidshift.kernels.triton_gpu import Launch


class Tile(NamedTuple):
    """A program's part of the result: frames, rows and columns of places, channels."""

    frames: int
    rows: int
    columns: int
    lanes: int  # at least rows * columns, a power of two
    channels: int


class Plan(NamedTuple):
    """A grid of tiles, and the launch of the kernel that computes them."""

    sizes: tuple[int, int, int]  # what the tiles cover: t, h, w
    tile: Tile
    tiles: int  # over the batch and the three axes
    near: bool  # no shift exceeds one place
    launch: Launch  # a program for each tile and block of channels

    @property
    def parts(self) -> int:
        """The sums that the shift's gradient is the sum of."""
        return self.tiles

    @property
    def lanes(self) -> float:
        """The share of the programs' lanes that have an element."""
        channels = self.launch.constants["C"]
        blocks = -(-channels // self.tile.channels)
        clips = self.tiles // math.prod(out_sizes(self.sizes, self.tile[:3]))
        elements = clips * math.prod(self.sizes) * channels
        every = self.tiles * blocks * self.tile.lanes * self.tile.channels
        return elements / (every * self.tile.frames)

    def sectors(self, itemsize: int) -> float:
        """The share that programs use of the sectors that they load.

        Of eight neighbouring places of x, whose channels begin anywhere in a sector.
        """
        channels, block = self.launch.constants["C"], self.tile.channels
        loaded = used = 0
        for start in range(0, 8 * channels, channels):
            for c in range(0, channels, block):
                first = (start + c) * itemsize
                end = (start + min(c + block, channels)) * itemsize
                loaded += -(-end // SECTOR_BYTES) - first // SECTOR_BYTES
                used += end - first
        return used / (SECTOR_BYTES * loaded)


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
    launch = Launch(
        "vidshift.kernels.interpolated.gpu_kernels",
        f"far_{direction}_kernel",
        tiles * -(-c // tile.channels),
        max(1, min(32, tile.lanes * tile.channels // VECTOR // 32)),
        constants,  # stages: the taps are in the L1 cache, not copied to shared memory
    )
    return Plan(sizes, tile, tiles, near, launch)


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


def fetched_bytes(direction, shape, itemsize, *, stride, max_shift) -> int:
    """The bytes that the programs of one call load and store, the shift left out.

    An element that a program loads several times counts once for it, and again for every
    other program. The taps are those of the whole window, or with no bound of the whole
    clip; the kernel for such shifts loads only taps that some channel has.
    """
    if serves(stride, max_shift):
        return rows_fetched_bytes(direction, tuple(shape), itemsize, tuple(stride))
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
    """Places of a clip of x that a forward plan's tiles read, summed over tiles."""
    stride = [plan.launch.constants[name] for name in ("ST", "SH", "SW")]
    axes = zip(
        shape[1:4], plan.sizes, plan.tile[:3], stride, _farthest(plan), strict=True
    )
    return math.prod(_read(*axis) for axis in axes)


def _farthest(plan) -> list[int]:
    return [plan.launch.constants[name] for name in ("RT", "RH", "RW")]


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
