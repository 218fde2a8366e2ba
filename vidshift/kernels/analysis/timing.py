"""Times programs side by side: what disturbs the machine then disturbs them all."""

import time
from typing import NamedTuple

import jax
import numpy as np

# Shorter than this, what is timed is the call and not the program.
BLOCK_SECONDS = 0.01
LEAST_BLOCKS = 3


class Timing(NamedTuple):
    """Seconds a call: quartiles over blocks of calls."""

    low: float
    median: float
    high: float
    blocks: int


def side_by_side(programs: dict, *, calls: int, seconds: float) -> dict[str, Timing]:
    """Times each `program()` in turn, a block of them at a time.

    Args:
      programs: functions without arguments that return arrays, compiled and run before.
      calls: what is timed happens so often in each program.
      seconds: for each program, about; at least `LEAST_BLOCKS` blocks are timed.
    """
    return {
        name: Timing(*np.percentile(found, (25, 50, 75)) / calls, len(found))
        for name, found in in_turns(programs, seconds=seconds).items()
    }


def in_turns(programs: dict, *, seconds: float) -> dict[str, list[float]]:
    """Times each `program()` in turn, as `side_by_side` does.

    Returns:
      Seconds a call, a number for each turn; the last ones of all programs are of the
      same turns.
    """
    start = time.perf_counter()
    times = {name: [_block(program, 1)] for name, program in programs.items()}
    runs = {name: max(1, round(BLOCK_SECONDS / t)) for name, (t,) in times.items()}
    for name in programs:
        if runs[name] > 1:
            times[name].clear()  # too short to be a measurement
    allowed = seconds * len(programs)
    while (
        min(map(len, times.values()), default=LEAST_BLOCKS) < LEAST_BLOCKS
        or time.perf_counter() - start < allowed
    ):
        for name, program in programs.items():
            times[name].append(_block(program, runs[name]))
    return times


def _block(program, runs: int) -> float:
    start = time.perf_counter()
    for _ in range(runs):
        result = program()
    # A device runs its programs in order: the last one's end is everyone's.
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / runs
