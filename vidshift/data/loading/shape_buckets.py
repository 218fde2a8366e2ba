"""Batches whose videos have one shape, made of single videos of any shape."""

import collections
import contextlib
from collections.abc import Iterator

import numpy as np


class ShapeBuckets(contextlib.AbstractContextManager, Iterator[dict[str, np.ndarray]]):
    """Gathers batches of one row each into batches of videos of the same shape.

    A batch is returned when it is full; at the end the others are filled up with black
    videos whose `index` is -1. Rows of `index` -1 are dropped.

    Args:
      batches: of one row each, whose `failures` and `close` these are.
      batch_size: rows of a batch.
    """

    def __init__(self, batches, batch_size: int):
        self._batches, self._batch_size = batches, batch_size
        self._waiting: dict[tuple[int, ...], list[dict]] = collections.defaultdict(list)

    @property
    def failures(self) -> list[tuple[str, str]]:
        return self._batches.failures

    def __next__(self) -> dict[str, np.ndarray]:
        for row in self._batches:
            if row["index"][0] < 0:
                continue
            shape = row["video"].shape
            self._waiting[shape].append(row)
            if len(self._waiting[shape]) == self._batch_size:
                return _joined(self._waiting.pop(shape))
        if not self._waiting:
            raise StopIteration
        _, rows = self._waiting.popitem()
        empty = {key: np.zeros_like(value) for key, value in rows[0].items()}
        empty["index"] -= 1
        return _joined(rows + [empty] * (self._batch_size - len(rows)))

    def close(self) -> None:
        self._batches.close()

    def __exit__(self, *_) -> None:
        self.close()


def _joined(rows: list[dict]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
