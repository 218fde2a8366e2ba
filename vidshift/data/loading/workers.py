"""Work on many clips by all cores, in order, whatever a clip does to its process."""

import collections
import contextlib
import ctypes
import logging
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from vidshift.data.loading import ipc
from vidshift.data.media.video import VideoError

logger = logging.getLogger("vidshift.data")

# What works: threads of this process, or processes of their own.
WORKER_KINDS = ("thread", "process")
# Clips given to the processes ahead, for each of them.
AHEAD = 2
# No clip takes longer: a decoder that hangs ends then.
MOST_SECONDS = 3600.0
# glibc's M_MMAP_THRESHOLD, at its largest, and M_TRIM_THRESHOLD.
MALLOC_OPTIONS = {-3: 32 * 2**20, -1: 128 * 2**20}
# A process that is not ready after so long, on a busy machine too, never will be.
STARTING_SECONDS = 300.0
# What a closed team waits for the clips that its threads work on.
CLOSING_SECONDS = 10.0


class Failed(str):
    """Why a clip has no result."""


class Hangs(RuntimeError):
    """An item takes longer than any should; args are the item."""


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
    team = Team(work, workers, kind="process", most_seconds=most_seconds)
    try:
        yield from team.map(team.do, items, ahead=AHEAD * workers)
    finally:
        team.stop()


class Team:
    """Threads that work, or that each keep a process, and a pipe to it that no other has.

    Not a ProcessPoolExecutor: its processes share a pipe, and one that is killed while it
    sends its result leaves the reader waiting for the rest.

    Args:
      work: called with an item; may raise VideoError. It is sent to each process.
      workers: threads, each with its process or none.
      kind: one of WORKER_KINDS.
      most_seconds: that an item may take.
      tries: of an item on which a process dies, which may be no fault of its own: the
        system lacked memory, or somebody killed it.
    """

    def __init__(
        self,
        work: Callable[[Any], Any],
        workers: int,
        *,
        kind: str,
        most_seconds: float = MOST_SECONDS,
        tries: int = 1,
    ):
        # Forked from a process that has imported what the work needs, and nothing else.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["vidshift.data.sources.datasets"])
        self._processes_work = kind == "process"
        # Pickled once: a list of a million files takes its time.
        self._sent = pickle.dumps(work) if self._processes_work else b""
        self._work, self._most_seconds, self._tries = work, most_seconds, tries
        self._own = threading.local()
        self._processes: set[multiprocessing.Process] = set()
        self._lock, self._stopped = threading.Lock(), False
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        # Daemons: one that hangs must not keep the program from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"{__name__} {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, ahead: int
    ) -> Iterator[tuple[Any, Any]]:
        """Yields (item, function(item)) in order; the function runs in the threads.

        Args:
          function: calls `do` as often as it needs.
          items: are read as results are taken, `ahead` of them at most.

        Raises:
          Hangs: a thread, which cannot be ended.
        """
        running: collections.deque[tuple[Any, Future]] = collections.deque()
        items = iter(items)
        # A process that hangs is ended by its thread.
        patience = None if self._processes_work else self._most_seconds
        while True:
            for item in items:
                future: Future = Future()
                running.append((item, future))
                self._tasks.put((future, function, item))
                if len(running) >= ahead:
                    break
            if not running:
                return
            item, future = running.popleft()
            try:
                result = future.result(patience)
            except TimeoutError:
                if future.done():
                    raise  # one of the function's own
                raise Hangs(item) from None
            yield item, result

    def do(self, item: Any) -> Any:
        """Works on an item in the calling thread's process; `Failed` says why not."""
        if not self._processes_work:
            return _work_on(item, self._work)
        for left in reversed(range(self._tries)):
            if not hasattr(self._own, "pipe"):
                self._start()
            process, pipe = self._own.process, self._own.pipe
            try:
                ipc.send(pipe, ipc.pack(item))
                result, error = ipc.receive(pipe, most_seconds=self._most_seconds)
            except TimeoutError:
                self._end()
                return Failed(f"the decoder took longer than {self._most_seconds:g} s")
            except (EOFError, ConnectionError):
                self._end()
                reason = f"the decoder crashed{_signal(process.exitcode)}"
            else:
                if error is not None:
                    raise error
                return result
            if self._stopped:
                raise CancelledError
            if left:
                logger.warning("%s; another process tries again", reason)
        return Failed(reason if self._tries == 1 else f"{reason}, {self._tries} times")

    def stop(self) -> None:
        """Ends all processes, and the threads once they are done with what they do."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()
        with contextlib.suppress(queue.Empty):
            while True:
                if task := self._tasks.get_nowait():
                    task[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)
        for process in self._processes:
            process.join()

    def _run(self) -> None:
        while task := self._tasks.get():
            future, function, item = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(item))
            except BaseException as error:  # noqa: BLE001, the caller raises it
                future.set_exception(error)
            # Until the next task is there it would keep a clip.
            del task, future

    def _start(self) -> None:
        for left in reversed(range(2)):
            pipe, far_end = self._context.Pipe()
            process = self._context.Process(
                target=_serve, args=(self._sent, far_end), daemon=True
            )
            with self._lock:
                if self._stopped:
                    raise CancelledError
                with _as_a_worker_starts(self._sent):
                    process.start()
                self._processes.add(process)
            # Else the end of the process would not be the end of the pipe.
            far_end.close()
            self._own.process, self._own.pipe = process, pipe
            try:
                _, error = ipc.receive(pipe, most_seconds=STARTING_SECONDS)
            except (EOFError, ConnectionError, TimeoutError) as failure:
                self._end()
                if not left:
                    raise OSError(
                        f"a process that decodes ended as it began"
                        f"{_signal(process.exitcode)}"
                    ) from failure
            else:
                if error is not None:
                    raise error
                return

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


@contextlib.contextmanager
def _as_a_worker_starts(sent: bytes) -> Iterator[None]:
    """What a process should not do that is started meanwhile.

    An interruption from the keyboard reaches all processes, and would be a traceback of
    each that still imports; the first one decides. And multiprocessing runs the program's
    file again, for what is sent might be of it: `train.py` would import all of JAX.
    """
    main = sys.modules["__main__"]
    known = {name: vars(main).get(name) for name in ("__spec__", "__file__")}
    # Unblocks what it finds blocked when it starts.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if b"__main__" not in sent:
        vars(main).update(dict.fromkeys(known))
    try:
        yield
    finally:
        vars(main).update(known)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _work_on(item: Any, work: Callable[[Any], Any]) -> Any:
    try:
        return work(item)
    except VideoError as error:
        return Failed(str(error))


def _serve(sent: bytes, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_memory()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        work = pickle.loads(sent)
    except Exception as error:  # noqa: BLE001, the caller raises it
        _answer(pipe, None, error)
        return
    _answer(pipe, "ready", None)
    while True:
        try:
            item = ipc.receive(pipe)
        except (EOFError, ConnectionError):
            return
        try:
            result, error = _work_on(item, work), None
        except Exception as failure:  # noqa: BLE001, the caller raises it
            failure.add_note(traceback.format_exc())
            result, error = None, failure
        _answer(pipe, result, error)


def _keep_memory() -> None:
    """Lets this process keep the memory of a clip for the next one.

    By default glibc gives it back, and the system clears it page by page when it is asked
    for again: reading a record of 5.5 MB took 18 ms so, and 5 ms without.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, size_bytes in MALLOC_OPTIONS.items():
            mallopt(option, size_bytes)


def _end_with_the_parent() -> None:
    """A decoder that hangs would not see that the pipe has ended."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _answer(pipe: Connection, result: Any, error: Exception | None) -> None:
    try:
        parts = ipc.pack((result, error))
    except (TypeError, AttributeError, ValueError, pickle.PicklingError) as failure:
        # The traceback can be.
        lost = result if error is None else error
        text = f"{lost!r:.1000} cannot be sent: {failure}"
        parts = ipc.pack((None, RuntimeError(text)))
    with contextlib.suppress(ConnectionError):
        ipc.send(pipe, parts)
