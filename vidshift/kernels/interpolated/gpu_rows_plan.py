"""Strips of rows of the shift's kernels on an NVIDIA GPU, and the bytes that they move."""

import functools
import math
from typing import NamedTuple

from vidshift.kernels.triton_gpu import Launch


class RowsPlan(NamedTuple):
    """A grid of programs: strips of rows, by blocks of words of a row."""

    channels: int  # of a word: 2 of bfloat16, else 1
    frames: int  # of a program
    rows: int
    words: int
    chunk: int  # neighbouring words of one column in a program
    parts: int  # of the shift's gradient: columns of the tiles
    lanes: float  # the share of the programs' threads that have a word
    launch: Launch

    def sectors(self, itemsize: int) -> float:
        """The share that programs use of the sectors that they load."""
        w, c = (self.launch.constants[name] for name in ("W", "C"))
        blocks = words_read(w, c // self.channels, self.words, self.chunk)
        word_bytes = itemsize * self.channels
        used = sum(map(len, blocks)) * word_bytes
        return used / (SECTOR_BYTES * _sectors(blocks, word_bytes))


FRAMES = 8  # of a program at most: with more the registers do not suffice
WORDS = 128  # of a program: one for each thread
SECTOR_BYTES = 32  # what the memory is read by
# Cores of an H100, and the programs that one holds: as their registers allow.
CORES = 132
PROGRAMS = {"forward": 4, "backward": 3}
FEWEST_ROWS = 4  # of a strip: it reads two more


def serves(stride, max_shift) -> bool:
    """Tells whether the kernels by rows compute a shift."""
    return tuple(stride) == (1, 1, 1) and max_shift is not None and max(max_shift) <= 1


def make_rows_plan(direction, shape, itemsize, whole) -> RowsPlan:
    b, t, h, w, c = shape
    channels = 2 if itemsize == 2 and c % 2 == 0 else 1
    column = c // channels
    words = min(WORDS, max(32, 1 << (w * column - 1).bit_length()))
    blocks = -(-w * column // words)
    runs = -(-t // FRAMES)
    frames = -(-t // runs)
    chunk = _chunk(w, column, words, itemsize * channels)
    strips = _strips(h, b * runs * blocks, PROGRAMS[direction])
    rows = -(-h // strips)
    strips = -(-h // rows)
    constants = {
        **dict(zip(("T", "H", "W", "C"), shape[1:], strict=True)),
        "K": channels,
        "F": frames,
        "ROWS": rows,
        "L": words,
        "CHUNK": chunk,
        "WHOLE": whole,
    }
    launch = Launch(
        "vidshift.kernels.interpolated.gpu_rows_kernels",
        f"rows_{direction}_kernel",
        b * runs * strips * blocks,
        words // 32,
        constants,
        passes=(h if direction == "backward" else 2 * strips - 1 + h) / strips,
    )
    parts = b * runs * strips * w
    lanes = w * column / (blocks * words)
    return RowsPlan(channels, frames, rows, words, chunk, parts, lanes, launch)


def _strips(h, programs, at_once) -> int:
    """The number of strips with which the last core is done first; of equals the fewest.

    Args:
      programs: of one strip.
      at_once: programs on a core.
    """

    def seconds(strips):
        waves = -(-programs * strips // (CORES * at_once))
        return waves * (-(-h // strips) + 2)

    return min(range(1, max(1, h // FEWEST_ROWS) + 1), key=seconds)


@functools.cache
def _chunk(w, column, words, size_bytes) -> int:
    """The words of a column side by side with which blocks read the fewest sectors.

    Args:
      column: words of a column.
      words: of a program.
      size_bytes: of a word.
    """

    def sectors(chunk):
        return _sectors(words_read(w, column, words, chunk), size_bytes)

    divisors = [n for n in range(1, column + 1) if column % n == 0]
    # A load of a warp that is in many pieces takes longer, though no sector is too many.
    wide = [n for n in divisors if n * size_bytes >= 64] or divisors[-1:]
    return min(wide, key=sectors)


def _sectors(blocks, word_bytes: int) -> int:
    """The sectors that blocks of words are in, summed over blocks."""
    words = SECTOR_BYTES // word_bytes
    return sum(len({word // words for word in block}) for block in blocks)


@functools.cache
def words_read(w, column, words, chunk) -> tuple[frozenset, ...]:
    """Words of a row that each block of a program's words loads: with both neighbours."""
    lanes = [
        (lane // chunk % w, lane // (chunk * w) * chunk + lane % chunk)
        for lane in range(w * column)
    ]
    return tuple(
        frozenset(
            (place + near) * column + word
            for place, word in lanes[first : first + words]
            for near in (-1, 0, 1)
            if 0 <= place + near < w
        )
        for first in range(0, len(lanes), words)
    )


def rows_fetched_bytes(direction, shape, itemsize) -> int:
    """The bytes that the programs of one call load and store, the shift left out.

    An element that a program loads several times counts once for it, and again for every
    other program.
    """
    plan = make_rows_plan(direction, shape, itemsize, False)
    b, t, h, w, c = shape
    column = c // plan.channels
    mixed = sum(map(len, words_read(w, column, plan.words, plan.chunk)))
    runs = -(-t // plan.frames)
    frames = sum(
        min(t, t0 + plan.frames + 1) - max(0, t0 - 1)
        for t0 in (min(run * plan.frames, t - plan.frames) for run in range(runs))
    )
    rows = sum(
        min(h, h0 + plan.rows + 1) - max(0, h0 - 1) for h0 in range(0, h, plan.rows)
    )
    word_bytes = plan.channels * itemsize
    loaded = b * frames * rows * mixed * word_bytes
    stored = math.prod(shape) * itemsize
    if direction == "forward":
        return loaded + stored
    x = b * runs * plan.frames * rows * w * c * itemsize
    parts = plan.parts * 3 * c * 4
    return loaded + x + stored + parts
