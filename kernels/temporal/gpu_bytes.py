"""Bytes that the temporal shift's kernels on an NVIDIA GPU move, counted by their grids."""

import math
from collections import Counter

import numpy as np

from kernels.temporal.gpu_plan import plan, tiles


def fetched_bytes(
    name, shape, itemsize, *, fold, direction, out_channels=None, reverse=False
) -> int:
    """The bytes that the programs of one call load and store, from and to the L2 cache.

    An element that a program loads several times counts once for it, and again for every
    other program: so do the weights, and features where filters take several programs.
    `least_bytes` is what has to come from memory. Scale and bias are left out.

    Args:
      name: "shift", "shift_conv", "shift_conv_dx" or "shift_conv_dw".
      shape: of x, `[A, T, R, C]`.
      out_channels: of the convolution after the shift.
      reverse: as `shift`'s.
    """
    k = out_channels or 0
    of = {"fold": fold, "direction": direction, "out_channels": k, "reverse": reverse}
    launch = plan(name, shape, itemsize, **of)
    rows, c = math.prod(shape[:3]), shape[3]
    moved = _moved_elements(shape, fold, direction)
    if name == "shift":
        return (moved + rows * c) * itemsize
    row_tiles, channel_tiles, filter_tiles = tiles((rows, c, k), launch.constants)
    if name == "shift_conv":
        return itemsize * (filter_tiles * moved + row_tiles * c * k + rows * k)
    if name == "shift_conv_dw":
        loads = filter_tiles * moved + channel_tiles * rows * k
        return itemsize * loads + launch.parts * c * k * 4
    return itemsize * (_dz_rows(launch.constants) * k + row_tiles * c * k + rows * c)


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


def least_bytes(name, shape, itemsize, *, fold, direction, out_channels=None) -> int:
    """The bytes of one call between memory and the L2 cache, if that forgets nothing.

    Each operand once, each result once; dw's sums over runs of rows twice, as they are
    written and then added up.
    """
    rows, c = math.prod(shape[:3]), shape[3]
    if name == "shift":
        return (_moved_elements(shape, fold, direction) + rows * c) * itemsize
    k = out_channels
    features = rows * (c + k) * itemsize
    if name != "shift_conv_dw":
        return features + c * k * itemsize
    of = {"fold": fold, "direction": direction, "out_channels": k}
    launch = plan(name, shape, itemsize, **of)
    return features + (2 * launch.parts + 1) * c * k * 4
