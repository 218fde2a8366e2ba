"""Compiles many programs at once: tracing in this thread, the compiler in others."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax

Key = TypeVar("Key")
# A compilation on a GPU keeps two or three cores busy, part of the time.
THREADS = max(1, (os.cpu_count() or 1) // 2)


def compile_all(
    lower: Iterable[tuple[Key, Callable[[], jax.stages.Lowered]]],
) -> Iterator[tuple[Key, jax.stages.Compiled | Exception]]:
    """Compiles programs in `THREADS` threads, and yields them in their order.

    They are lowered one after another, in the thread of the caller: Python 3.11's parser,
    which Triton calls, fails in two threads at once.

    Args:
      lower: a key, and a function that returns the lowered program.

    Yields:
      The key, and the program or the error that it ended with.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        started = []
        for key, function in lower:
            try:
                started.append((key, threads.submit(function().compile)))
            except Exception as error:  # noqa: BLE001  the caller's to judge
                started.append((key, error))
        for key, future in started:
            if isinstance(future, Exception):
                yield key, future
            else:
                yield key, future.exception() or future.result()
