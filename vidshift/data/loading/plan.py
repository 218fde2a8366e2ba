"""Record and random numbers of each element of a training run.

A run is one endless stream of elements, numbered from 0 over all processes: step s
trains on elements [s B, (s + 1) B). Everything about an element is a function of the
seed, its number and the number of records, so it does not depend on how many processes
or threads load it, nor on where a run was resumed. The stream runs on from one epoch
into the next within a batch: no record is left out.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

# Second number of each seed, so that no two uses share random numbers.
ORDER, AUGMENTATION = 0, 1
# Rows that may stand in for each other before a run ends.
MOST_ATTEMPTS = 100
# (number of an element, row that may fill it)
Attempt = tuple[int, int]


def train_elements(
    positions: Iterable[int], seed: int, num_records: int
) -> Iterator[list[Attempt]]:
    """Yields the attempts to load each element.

    They are the planned row, and the rows after it: one of those takes its place where
    it cannot be decoded.
    """
    for element in positions:
        first = row(seed, element, num_records)
        rows = range(first, first + min(num_records, MOST_ATTEMPTS))
        yield [(element, place % num_records) for place in rows]


def eval_elements(
    positions: Iterable[int], num_records: int, batch_size: int
) -> Iterator[list[Attempt]]:
    """Yields each row as the only attempt of its element, and none beyond the last row.

    All processes get the same number of elements.
    """
    whole_batches = -(-num_records // batch_size) * batch_size
    for element in itertools.takewhile(whole_batches.__gt__, positions):
        yield [(element, element)] if element < num_records else []


def row(seed: int, element: int, num_records: int) -> int:
    """Returns the row that an element of the stream reads.

    Each epoch, `num_records` elements, is a fresh permutation of the rows.
    """
    epoch, place = divmod(element, num_records)
    return int(_order(seed, epoch, num_records)[place])


# The current epoch's order, the next one's (a loader reads ahead), and as much again
# for a second loader.
@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, num_records: int) -> np.ndarray:
    return np.random.default_rng([seed, ORDER, epoch]).permutation(num_records)


def augmentation_rng(seed: int, element: int) -> np.random.Generator:
    """Returns the random numbers of an element: frames, crop, flip, then augmentation."""
    return np.random.default_rng([seed, AUGMENTATION, element])


def process_batch_size(
    batch_size: int, process_index: int = 0, process_count: int = 1
) -> int:
    """Returns the rows of a global batch that one process loads.

    Raises:
      ValueError: the batch cannot be shared evenly, or there is no such process.
    """
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index must be in [0, {process_count}), got {process_index}"
        )
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch_size must be a multiple of process_count={process_count}, "
            f"got {batch_size}"
        )
    return batch_size // process_count


def global_position(
    local_position: int, batch_size: int, process_index: int, process_count: int
) -> int:
    """Returns where the n-th element of one process stands in the global stream.

    Of each global batch a process takes rows that lie together,
    [p B / P, (p + 1) B / P), so that the batches of all processes, laid end to end in
    process order, are the same batch in the same order for any P.
    """
    local_size = batch_size // process_count
    batch, place = divmod(local_position, local_size)
    return batch * batch_size + process_index * local_size + place


def global_positions(
    batch_size: int, process_index: int, process_count: int, *, start_step: int = 0
) -> Iterator[int]:
    """Yields the positions of one process, from the batch of a step on, without end."""
    for position in itertools.count(start_step * (batch_size // process_count)):
        yield global_position(position, batch_size, process_index, process_count)
