"""Videos that are decoded in threads ahead of their use, each by one thread."""

import collections
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Batches of each video that wait for the device.
BATCHES = 2
# Seconds from one look at whether the reader has stopped to the next.
LOOK_SECONDS = 0.1


@contextlib.contextmanager
def ahead(
    read: Callable[[Any], Iterator[Any]], items: Iterable[Any], *, threads: int
) -> Iterator[Iterator[tuple[Any, Iterator[Any]]]]:
    """Gives (item, iterator of `read(item)`) in order, while later items are read.

    At most `BATCHES` results of an item wait, and one item a thread: memory does not
    grow with an item's length. An error of `read` is raised by the item's iterator.

    Args:
      read: is run in a thread.
      threads: at least one.
    """
    stopped = threading.Event()
    pool = ThreadPoolExecutor(threads, "vidshift features")

    def fill(item: Any, results: queue.Queue) -> None:
        try:
            for result in read(item):
                if not _put(results, (result, None), stopped):
                    return
            _put(results, (None, StopIteration()), stopped)
        except BaseException as error:  # noqa: BLE001, raised where it is read
            _put(results, (None, error), stopped)

    def begin(item: Any) -> tuple[Any, queue.Queue]:
        results: queue.Queue = queue.Queue(BATCHES)
        pool.submit(fill, item, results)
        return item, results

    def each() -> Iterator[tuple[Any, Iterator[Any]]]:
        running = collections.deque()
        for item in items:
            running.append(begin(item))
            if len(running) > threads:
                yield _drained(running.popleft())
        while running:
            yield _drained(running.popleft())

    try:
        yield each()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _put(results: queue.Queue, result: Any, stopped: threading.Event) -> bool:
    """Waits for room; returns False where nobody reads any more."""
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            results.put(result, timeout=LOOK_SECONDS)
            return True
    return False


def _drained(begun: tuple[Any, queue.Queue]) -> tuple[Any, Iterator[Any]]:
    item, results = begun

    def each() -> Iterator[Any]:
        while True:
            result, error = results.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield result

    return item, each()
