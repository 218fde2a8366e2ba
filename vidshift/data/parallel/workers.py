"""Maps a function over items in threads or processes: in order, and past their deaths."""

import collections
import contextlib
import dataclasses
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from vidshift.data.parallel.processes import Died, Processes

logger = logging.getLogger("vidshift.data")

# Threads of this process, or processes.
WORKER_KINDS = ("thread", "process")
# Items given out ahead of the results taken, for each worker.
AHEAD = 2
# No item takes longer: a process that hangs is ended then.
MOST_SECONDS = 3600.0
# Seconds that `stop` waits for items that threads work on.
CLOSING_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """Result of an item that has none: the function returns it, or its process died."""

    reason: str
    name: str | None = None


class Hangs(RuntimeError):
    """A thread works on an item for too long; args are the item and the seconds."""


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def results(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[tuple[Any, Any]]:
    """Yields (item, result) in the order of the items, as `Workers.map` by processes.

    With 0 workers this process calls the function.
    """
    with Workers(
        function, workers, kind="process", most_seconds=most_seconds
    ) as processes:
        yield from processes.map(items)


class Workers(contextlib.AbstractContextManager):
    """Threads that call a function, or that each keep a process that calls it.

    A process that dies or hangs costs the item that it worked on, and no other.

    Args:
      function: takes an item; returns its result, or `Failed`. An exception is raised by
        the iterator, in the item's place. The function is pickled for each process.
      count: number of threads or processes; 0 calls the function as results are taken.
      kind: one of WORKER_KINDS.
      most_seconds: limit for an item.
      tries: of an item on which a process dies, which may be no fault of its own: the
        system lacked memory, or somebody killed it.
      after_death: takes an item on which processes died, and the reason, in a new
        process; returns the item's `Failed`. None: `Failed(reason)`.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        count: int,
        *,
        kind: str,
        most_seconds: float = MOST_SECONDS,
        tries: int = 1,
        after_death: Callable[[Any, str], Failed] | None = None,
    ):
        self._function, self._after_death = function, after_death
        self._most_seconds, self._tries = most_seconds, tries
        self._processes = None
        if kind == "process" and count:
            self._processes = Processes(
                function, after_death, most_seconds=most_seconds
            )
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        # Daemons: one that hangs must not keep the program from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"{__name__} {number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def map(self, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields (item, result) in the order of the items; errors as in `first_of`."""
        return (tried[-1] for tried in self.first_of([item] for item in items))

    def first_of(
        self, groups: Iterable[Iterable[Any]], *, ahead: int | None = None
    ) -> Iterator[list[tuple[Any, Any]]]:
        """Yields (item, result) of each item that was tried, for each group in order.

        The items of a group are tried one after another, up to the first that does not
        fail.

        Args:
          groups: read as results are taken, at most `ahead` of them.
          ahead: None: AHEAD for each worker.

        Raises:
          Hangs: from a thread, which cannot be ended.
          OSError: a process cannot be started.
        """
        running: collections.deque[tuple[list, Future]] = collections.deque()
        ahead = (ahead or AHEAD * len(self._threads)) if self._threads else 1
        groups = iter(groups)
        # A process that hangs is ended by its thread.
        patience = None if self._processes else self._most_seconds
        while True:
            for group in groups:
                tried, future = [], Future()
                running.append((tried, future))
                if self._threads:
                    self._tasks.put((group, tried, future))
                else:
                    self._try(group, tried, future)
                if len(running) >= ahead:
                    break
            if not running:
                return
            tried, future = running.popleft()
            try:
                future.result(patience)
            except TimeoutError:
                if future.done():
                    raise  # one of the function's own
                raise Hangs(tried[-1][0], self._most_seconds) from None
            yield tried

    def stop(self) -> None:
        """Ends all processes, and the threads once they are done with their items."""
        if self._processes:
            self._processes.kill()
        with contextlib.suppress(queue.Empty):
            while True:
                if task := self._tasks.get_nowait():
                    task[-1].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)
        if self._processes:
            self._processes.join()

    def __exit__(self, *_) -> None:
        self.stop()

    def _run(self) -> None:
        while task := self._tasks.get():
            self._try(*task)
            # Until the next task comes it would keep a clip.
            del task

    def _try(self, group: Iterable[Any], tried: list, future: Future) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            for item in group:
                tried.append((item, None))
                result = self._call(item)
                tried[-1] = item, result
                if not isinstance(result, Failed):
                    break
            future.set_result(None)
        except BaseException as error:  # noqa: BLE001, the caller raises it
            future.set_exception(error)

    def _call(self, item: Any) -> Any:
        if not self._processes:
            return self._function(item)
        for left in reversed(range(self._tries)):
            try:
                return self._processes.call(0, item)
            except Died as death:
                reason = str(death)
                if death.hung:
                    break
            if left:
                logger.warning("%s; another process tries again", reason)
            elif self._tries > 1:
                reason += f", {self._tries} times"
        if self._after_death:
            with contextlib.suppress(Died):
                return self._processes.call(1, item, reason)
        return Failed(reason)
