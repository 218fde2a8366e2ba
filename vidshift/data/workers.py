"""Work on many clips by all cores, in order, whatever a clip does to its process."""

import collections
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from vidshift.data.video import VideoError

# Clips given to the processes ahead, for each of them.
AHEAD = 2
# No clip takes longer: a decoder that hangs ends then.
MOST_SECONDS = 3600.0


class Failed(str):
    """Why a clip has no result."""


def results(
    work: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[tuple[Any, Any]]:
    """Yields (item, result) in the order of the items; the result may be a `Failed`.

    A process that dies or hangs costs the item that it worked on, and no other.

    Args:
      work: is called with an item in another process; may raise VideoError.
      items: are read as results are taken, a few ahead.
      workers: processes.
      most_seconds: that an item may take.
    """
    running: collections.deque[tuple[Any, Future]] = collections.deque()
    items = iter(items)
    pool = _Pool(work, workers)
    try:
        while True:
            for item in items:
                running.append((item, pool.submit(item)))
                if len(running) >= AHEAD * workers:
                    break
            if not running:
                return
            item, future = running.popleft()
            try:
                result = future.result(most_seconds)
            except (BrokenProcessPool, TimeoutError):
                # Any item that was under way may be the one; each is tried alone.
                pool.stop()
                suspects = [item, *(other for other, _ in running)]
                running.clear()
                for item in suspects:
                    yield item, _alone(work, item, most_seconds)
                pool = _Pool(work, workers)
                continue
            yield item, result
    finally:
        pool.stop()


def _alone(work: Callable, item: Any, most_seconds: float) -> Any:
    pool = _Pool(work, 1)
    try:
        return pool.submit(item).result(most_seconds)
    except BrokenProcessPool:
        return Failed("the decoder crashed")
    except TimeoutError:
        return Failed(f"the decoder took longer than {most_seconds:.0f} s")
    finally:
        pool.stop()


class _Pool:
    def __init__(self, work: Callable, workers: int):
        # Forked from a process that has imported what the work needs, and nothing else.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["vidshift.data.storage"])
        self._work = work
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start
        )

    def submit(self, item: Any) -> Future:
        return self._pool.submit(_run, self._work, item)

    def stop(self) -> None:
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    # An interruption from the keyboard reaches all processes; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(work: Callable, item: Any) -> Any:
    try:
        return work(item)
    except VideoError as error:
        return Failed(str(error))
