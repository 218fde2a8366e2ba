"""Work on many clips by all cores, in order, whatever a clip does to its process."""

import collections
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
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
      work: is called with an item in another process; may raise VideoError. Any other
        exception is raised here, in the item's place.
      items: are read as results are taken, a few ahead.
      workers: processes.
      most_seconds: that an item may take.

    Raises:
      OSError: a process cannot be started.
    """
    running: collections.deque[tuple[Any, Future]] = collections.deque()
    items = iter(items)
    team = _Team(work, workers, most_seconds)
    try:
        while True:
            for item in items:
                running.append((item, team.submit(item)))
                if len(running) >= AHEAD * workers:
                    break
            if not running:
                return
            item, future = running.popleft()
            yield item, future.result()
    finally:
        team.stop()


class _Team:
    """Threads that each keep a process, and a pipe to it that no other process has.

    Not a ProcessPoolExecutor: its processes share a pipe, and one that is killed while it
    sends its result leaves the reader waiting for the rest.
    """

    def __init__(self, work: Callable, workers: int, most_seconds: float):
        # Forked from a process that has imported what the work needs, and nothing else.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["vidshift.data.storage"])
        self._work, self._most_seconds = work, most_seconds
        self._threads = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._processes: set[multiprocessing.Process] = set()
        self._lock, self._stopped = threading.Lock(), False

    def submit(self, item: Any) -> Future:
        return self._threads.submit(self._run, item)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.join()

    def _run(self, item: Any) -> Any:
        if not hasattr(self._own, "pipe"):
            self._start()
        process, pipe = self._own.process, self._own.pipe
        try:
            pipe.send(item)
            if not pipe.poll(self._most_seconds):
                self._end()
                return Failed(f"the decoder took longer than {self._most_seconds:g} s")
            result, error = pipe.recv()
        except (EOFError, ConnectionError):
            self._end()
            return Failed(f"the decoder crashed{_signal(process.exitcode)}")
        if error is not None:
            raise error
        return result

    def _start(self) -> None:
        pipe, far_end = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(self._work, far_end), daemon=True
        )
        with self._lock:
            if self._stopped:
                raise OSError("stopped")
            process.start()
            self._processes.add(process)
        # Else the end of the process would not be the end of the pipe.
        far_end.close()
        self._own.process, self._own.pipe = process, pipe
        try:
            pipe.recv()
        except (EOFError, ConnectionError):
            self._end()
            raise OSError(
                f"a process that decodes ended as it began{_signal(process.exitcode)}"
            ) from None

    def _end(self) -> None:
        process, pipe = self._own.process, self._own.pipe
        del self._own.process, self._own.pipe
        process.kill()
        process.join()
        pipe.close()
        with self._lock:
            self._processes.discard(process)


def _signal(exitcode: int | None) -> str:
    return f" ({signal.Signals(-exitcode).name})" if exitcode and exitcode < 0 else ""


def _serve(work: Callable, pipe: Connection) -> None:
    # An interruption from the keyboard reaches all processes; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send("ready")
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer = (work(item), None)
        except VideoError as error:
            answer = (Failed(str(error)), None)
        except Exception as error:  # noqa: BLE001, the caller raises it
            error.add_note(traceback.format_exc())
            answer = (None, error)
        try:
            pipe.send(answer)
        except (TypeError, AttributeError, ValueError) as error:
            # It cannot be pickled; the traceback was.
            pipe.send((None, RuntimeError(f"{answer!r:.1000} cannot be sent: {error}")))
