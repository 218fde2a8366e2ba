"""Compiles many programs at once: tracing in this thread, the compiler in others."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# A compilation on a GPU keeps two or three cores busy, part of the time.
THREADS = max(1, (os.cpu_count() or 1) // 2)


def compile_all(lower: Iterable[tuple[Any, Callable]]) -> Iterator[tuple[Any, Any]]:
    """Compiles programs in `THREADS` threads, and yields them in their order.

    They are lowered one after another, in the thread of the caller: Python 3.11's parser,
    which Triton calls, fails in two threads at once. A program is yielded as soon as it
    and those before it are compiled.

    Args:
      lower: a key, and a function that returns something with a method `compile`.

    Yields:
      The key, and what `compile` returned, or the error that either ended with.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        started = deque()
        try:
            for key, function in lower:
                try:
                    started.append((key, threads.submit(function().compile)))
                except Exception as error:  # noqa: BLE001  for the caller to judge
                    started.append((key, threads.submit(_raise, error)))
                while started[0][1].done() or len(started) > 2 * THREADS:
                    key, future = started.popleft()
                    yield key, future.exception() or future.result()
                    if not started:
                        break
            for key, future in started:
                yield key, future.exception() or future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _raise(error: Exception):
    raise error
