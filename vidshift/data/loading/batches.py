"""Batches of rows that workers load, and the count of records that failed."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from vidshift.data.loading.clips import Row
from vidshift.data.loading.plan import Attempt
from vidshift.data.parallel.workers import Failed, Hangs, Workers
from vidshift.data.sources.split import Source, where

logger = logging.getLogger("vidshift.data")

Batch = dict[str, np.ndarray]
# (id of a record, why it cannot be decoded)
Failure = tuple[str, str]

# The fraction of failed records is not judged before so many were tried.
MIN_SEEN = 100


class TooManyFailures(RuntimeError):
    """More records cannot be decoded than a run accepts."""


class Batches(contextlib.AbstractContextManager, Iterator[Batch]):
    """Stacks rows into batches, in order; the first row of an element that loads counts.

    Args:
      source: of the records, to name those that could not even be read.
      workers: take an attempt and return a row or `Failed`; stopped by `close`.
      elements: the attempts to load each row.
      batch_size: rows of a batch.
      ahead: elements that workers load before they are asked for.
      max_failed_share: fraction of failed records above which TooManyFailures is raised.
      left_out: the row of an element that cannot be loaded; None raises TooManyFailures.
      stack: makes a batch of rows.

    Attributes:
      seen: records tried in the batches returned so far.
      failures: those of them that could not be decoded, (id, reason), in order.
    """

    def __init__(
        self,
        source: Source,
        workers: Workers,
        elements: Iterable[Iterable[Attempt]],
        *,
        batch_size: int,
        ahead: int,
        max_failed_share: float,
        left_out: Row | None,
        stack: Callable[[list[Row]], Batch],
    ):
        self.seen = 0
        self.failures: list[Failure] = []
        self._source, self._workers, self._stack = source, workers, stack
        self._batch_size, self._left_out = batch_size, left_out
        self._max_failed_share = max_failed_share
        self._elements = workers.first_of(elements, ahead=ahead)

    def __next__(self) -> Batch:
        rows = []
        for _ in range(self._batch_size):
            try:
                tried = next(self._elements)
            except Hangs as error:
                (_, row), seconds = error.args
                raise Hangs(
                    f"{where(self._source, row)} took longer than {seconds:g} s: the disk "
                    "or the decoder hangs; config.data.worker_kind=process leaves out "
                    "such a clip"
                ) from None
            rows.append(self._row(tried))
        return self._stack(rows)

    def _row(self, tried: list[tuple[Attempt, Row | Failed]]) -> Row:
        failures = [
            self._failure(attempt, result)
            for attempt, result in tried
            if isinstance(result, Failed)
        ]
        loaded = len(failures) < len(tried)
        if not loaded and self._left_out is None:
            raise TooManyFailures(
                f"{len(failures)} records in a row cannot be decoded; the last: "
                f"{failures[-1][1]}"
            )
        self._count(len(tried), failures)
        return tried[-1][1] if loaded else self._left_out

    def _failure(self, attempt: Attempt, failed: Failed) -> Failure:
        if failed.name is not None:
            return failed.name, failed.reason
        name = where(self._source, attempt[1])
        return name, f"{name}: {failed.reason}"

    def _count(self, seen: int, failures: list[Failure]) -> None:
        self.seen += seen
        self.failures += failures
        for _, reason in failures:
            logger.warning("left out a record that cannot be decoded: %s", reason)
        failed = len(self.failures)
        if (
            failed
            and self.seen >= MIN_SEEN
            and failed > self._max_failed_share * self.seen
        ):
            raise TooManyFailures(
                f"{failed} of {self.seen} records cannot be decoded, more than "
                f"max_failed_share={self._max_failed_share}; the last: "
                f"{self.failures[-1][1]}"
            )

    def close(self) -> None:
        """Stops the workers; clips that threads are decoding are finished and dropped."""
        self._workers.stop()

    def __exit__(self, *_) -> None:
        self.close()


def stack_rows(rows: list[Row]) -> Batch:
    """Stacks arrays that are alike."""
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
