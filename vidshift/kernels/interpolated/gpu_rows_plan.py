"""Strips of rows of the shift's kernels on an NVIDIA GPU, and the bytes that they move."""

import functools
from typing import NamedTuple

from vidshift.kernels.triton_gpu import Launch


class RowsPlan(NamedTuple):
    """A grid of programs: strips of rows, by blocks of words of a row."""

    channels: int  # of a word: 2 of bfloat16, else 1
    frames: int  # of a program
    rows: int
    words: int
    chunk: int  # neighbouring words of one column in a program
    step: int  # the stride along h and w
    parts: int  # of the shift's gradient: columns of the tiles
    lanes: float  # the share of the programs' threads that have a word
    launch: Launch

    def sectors(self, itemsize: int) -> float:
        """The share that programs use of the sectors that they load."""
        w, c = (self.launch.constants[name] for name in ("W", "C"))
        column = c // self.channels
        blocks = words_read(w, column, self.words, self.chunk, self.step)
        word_bytes = itemsize * self.channels
        used = sum(map(len, blocks)) * word_bytes
        return used / (SECTOR_BYTES * _sectors(blocks, word_bytes))


FRAMES = 8  # of a program at most: with more the registers do not suffice
# Of a program: one for each thread. The more, the fewer have a neighbour in another
# program; backward, of 256 threads only one program would fit on a core.
WORDS = {"forward": 256, "backward": 128}
SECTOR_BYTES = 32  # what the memory is read by
# Cores of an H100, and the programs that one holds: as their registers allow.
CORES = 132
PROGRAMS = {"forward": 2, "backward": 3}
FEWEST_ROWS = 4  # of a strip: it reads two more


def serves(stride, max_shift) -> bool:
    """Tells whether the kernels by rows compute a shift."""
    near = max_shift is not None and max(max_shift) <= 1
    return near and tuple(stride) in ((1, 1, 1), (1, 2, 2))


def make_rows_plan(direction, shape, itemsize, stride, whole) -> RowsPlan:
    b, t, *sizes, c = shape
    step = stride[2]
    h, w = (-(-size // step) for size in sizes)
    channels = 2 if itemsize == 2 and c % 2 == 0 else 1
    column = c // channels
    words = min(WORDS[direction], max(32, 1 << (w * column - 1).bit_length()))
    blocks = -(-w * column // words)
    runs = -(-t // FRAMES)
    frames = -(-t // runs)
    chunk = _chunk(sizes[1], column, words, itemsize * channels, step)
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
    strided = "strided_" if step > 1 else ""
    forward = direction == "forward" and not strided
    launch = Launch(
        f"vidshift.kernels.interpolated.gpu_{strided or 'rows_'}kernels",
        f"rows_{strided}{direction}_kernel",
        b * runs * strips * blocks,
        words // 32,
        constants,
        passes=(2 * strips - 1 + h if forward else h) / strips,
    )
    parts = b * runs * strips * w
    lanes = w * column / (blocks * words)
    return RowsPlan(channels, frames, rows, words, chunk, step, parts, lanes, launch)


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
def _chunk(w, column, words, size_bytes, step) -> int:
    """The words of a column side by side with which blocks read the fewest sectors.

    Args:
      w: columns of x.
      column: words of a column.
      words: of a program.
      size_bytes: of a word.
      step: columns of x from one of a program to the next.
    """

    def sectors(chunk):
        return _sectors(words_read(w, column, words, chunk, step), size_bytes)

    divisors = [n for n in range(1, column + 1) if column % n == 0]
    # A load of a warp that is in many pieces takes longer, though no sector is too many.
    wide = [n for n in divisors if n * size_bytes >= 64] or divisors[-1:]
    return min(wide, key=sectors)


def _sectors(blocks, word_bytes: int) -> int:
    """The sectors that blocks of words are in, summed over blocks."""
    words = SECTOR_BYTES // word_bytes
    return sum(len({word // words for word in block}) for block in blocks)


def words_read(w, column, words, chunk, step, near=(-1, 0, 1)) -> list[set]:
    """Words of a row of w columns that each block of a program's words loads.

    Args:
      near: the columns that are read for one, counted from it.
    """
    wide = -(-w // step)
    lanes = [
        (lane // chunk % wide * step, lane // (chunk * wide) * chunk + lane % chunk)
        for lane in range(wide * column)
    ]
    return [
        {
            (place + other) * column + word
            for place, word in lanes[first : first + words]
            for other in near
            if 0 <= place + other < w
        }
        for first in range(0, len(lanes), words)
    ]


@functools.cache
def rows_fetched_bytes(direction, shape, itemsize, stride) -> int:
    """The bytes that the programs of one call load and store, the shift left out.

    An element that a program loads several times counts once for it, and again for every
    other program.
    """
    plan = make_rows_plan(direction, shape, itemsize, stride, False)
    b, t, h, w, c = shape
    column, step = c // plan.channels, plan.step
    h2, w2 = -(-h // step), -(-w // step)
    runs = -(-t // plan.frames)
    starts = [min(run * plan.frames, t - plan.frames) for run in range(runs)]
    mixed_frames = sum(min(t, s + plan.frames + 1) - max(0, s - 1) for s in starts)
    strips = [(h0, min(h0 + plan.rows, h2)) for h0 in range(0, h2, plan.rows)]

    def words(columns, step, near):
        blocks = words_read(columns, column, plan.words, plan.chunk, step, near)
        return sum(map(len, blocks))

    def rows(size, step):
        return sum(
            min(size, (h1 - 1) * step + 2) - max(0, h0 * step - 1) for h0, h1 in strips
        )

    if direction == "forward":
        loaded = mixed_frames * rows(h, step) * words(w, step, (-1, 0, 1))
        stored = t * h2 * w2 * column
        parts = 0
    else:
        if step == 1:
            dy = rows(h, 1) * words(w, 1, (-1, 0, 1))
            x = rows(h, 1) * w * column
        else:
            dy = sum(min(h1 + 1, h2) - h0 for h0, h1 in strips)
            dy *= words(w2, 1, (0, 1))
            x = sum(min(2 * h1, h) - max(0, 2 * h0 - 1) for h0, h1 in strips)
            x *= w * column
        loaded = mixed_frames * dy + runs * plan.frames * x
        stored = t * h * w * column
        parts = plan.parts * 3 * c * 4
    return b * (loaded + stored) * plan.channels * itemsize + parts
