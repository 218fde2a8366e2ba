"""Maps a function over items in threads or processes: in order, and past their deaths."""

import collections
import contextlib
import ctypes
import dataclasses
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

logger = logging.getLogger("vidshift.data")

# Threads of this process, or processes.
WORKER_KINDS = ("thread", "process")
# Items given out ahead of the results taken, for each worker.
AHEAD = 2
# No item takes longer: a process that hangs is ended then.
MOST_SECONDS = 3600.0
# glibc's M_MMAP_THRESHOLD, at its largest, and M_TRIM_THRESHOLD.
MALLOC_OPTIONS = {-3: 32 * 2**20, -1: 128 * 2**20}
# A process that is not ready by then, on a busy machine too, never will be.
STARTING_SECONDS = 300.0
# Seconds that `stop` waits for items that threads work on.
CLOSING_SECONDS = 10.0
# Processes are forked from one that has imported this, and nothing else.
PRELOADED = "vidshift.data.sources.datasets"


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """Result of an item that has none: the function returns it, or its process died."""

    reason: str
    name: str | None = None


class Hangs(RuntimeError):
    """A thread works on an item for too long; args are the item and the seconds."""


class _Died(Exception):
    """A process has died, or hung and was ended."""

    def __init__(self, reason: str, *, hung: bool = False):
        super().__init__(reason)
        self.hung = hung


def results(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[tuple[Any, Any]]:
    """Yields (item, result) in the order of the items, as `Workers.map` by processes."""
    with Workers(
        function, workers, kind="process", most_seconds=most_seconds
    ) as processes:
        yield from processes.map(items)


class Workers:
    """Threads that call a function, or that each keep a process that calls it.

    A process that dies or hangs costs the item that it worked on, and no other. Not a
    ProcessPoolExecutor: its processes share a pipe, and one that is killed while it
    sends its result leaves the reader waiting for the remainder.

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

    Raises:
      ValueError: a negative count, or no such kind.
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
        if count < 0:
            raise ValueError(f"workers must be >= 0, got {count}")
        if kind not in WORKER_KINDS:
            raise ValueError(f"worker_kind must be one of {WORKER_KINDS}, got {kind!r}")
        self._function, self._after_death = function, after_death
        self._most_seconds, self._tries = most_seconds, tries
        self._in_processes = kind == "process" and count > 0
        if self._in_processes:
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([PRELOADED])
            # Pickled once: a list of a million files takes its time.
            self._sent = pickle.dumps((function, after_death))
        self._local = threading.local()
        self._processes: set[multiprocessing.Process] = set()
        self._lock, self._stopped = threading.Lock(), False
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        # Daemons: one that hangs must not keep the program from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"{__name__} {number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def map(
        self, items: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Yields (item, result) in the order of the items; errors as in `first_of`."""
        for tried in self.first_of(([item] for item in items), ahead=ahead):
            yield tried[-1]

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
        patience = None if self._in_processes else self._most_seconds
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
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()
        with contextlib.suppress(queue.Empty):
            while True:
                if task := self._tasks.get_nowait():
                    task[-1].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)
        for process in self._processes:
            process.join()

    def __enter__(self):
        return self

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
        if not self._in_processes:
            return self._function(item)
        for left in reversed(range(self._tries)):
            try:
                return self._ask(item)
            except _Died as death:
                reason = str(death)
                if death.hung:
                    break
            if left:
                logger.warning("%s; another process tries again", reason)
            elif self._tries > 1:
                reason += f", {self._tries} times"
        if self._after_death:
            with contextlib.suppress(_Died):
                return self._ask(item, reason)
        return Failed(reason)

    def _ask(self, *question: Any) -> Any:
        """Sends an item, or an item and the reason of a death, to the thread's process."""
        if not hasattr(self._local, "pipe"):
            self._start()
        process, pipe = self._local.process, self._local.pipe
        try:
            ipc.send(pipe, ipc.pack(question))
            result, error = ipc.receive(pipe, most_seconds=self._most_seconds)
        except TimeoutError:
            self._end()
            reason = f"the decoder took longer than {self._most_seconds:g} s"
            raise _Died(reason, hung=True) from None
        except (EOFError, ConnectionError):
            self._end()
            if self._stopped:
                raise CancelledError from None
            raise _Died(f"the decoder crashed{_signal(process.exitcode)}") from None
        if error is not None:
            raise error
        return result

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
            self._local.process, self._local.pipe = process, pipe
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
        process, pipe = self._local.process, self._local.pipe
        del self._local.process, self._local.pipe
        process.kill()
        process.join()
        pipe.close()
        with self._lock:
            self._processes.discard(process)


def _signal(exitcode: int | None) -> str:
    return f" ({signal.Signals(-exitcode).name})" if exitcode and exitcode < 0 else ""


@contextlib.contextmanager
def _as_a_worker_starts(sent: bytes) -> Iterator[None]:
    """Keeps a process that is being started from handling SIGINT and running `__main__`.

    An interruption from the keyboard reaches all processes, and would print a traceback
    in each that still imports; the first one decides. And multiprocessing runs the
    program's file again, as the function might come from it: `train.py` would import
    all of JAX.
    """
    main = sys.modules["__main__"]
    known = {name: vars(main).get(name) for name in ("__spec__", "__file__")}
    # Unblocks the signals that it finds blocked when it starts.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if b"__main__" not in sent:
        vars(main).update(dict.fromkeys(known))
    try:
        yield
    finally:
        vars(main).update(known)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _serve(sent: bytes, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_memory()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        function, after_death = pickle.loads(sent)
    except Exception as error:  # noqa: BLE001, the caller raises it
        _answer(pipe, None, error)
        return
    _answer(pipe, "ready", None)
    while True:
        try:
            question = ipc.receive(pipe)
        except (EOFError, ConnectionError):
            return
        try:
            answer = function if len(question) == 1 else after_death
            result, error = answer(*question), None
        except Exception as failure:  # noqa: BLE001, the caller raises it
            failure.add_note(traceback.format_exc())
            result, error = None, failure
        _answer(pipe, result, error)


def _keep_memory() -> None:
    """Lets this process keep the memory of an item for the next one.

    By default glibc gives it back, and the system clears it page by page at the next
    request: reading a record of 5.5 MB took 18 ms that way, and 5 ms this way.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, size_bytes in MALLOC_OPTIONS.items():
            mallopt(option, size_bytes)


def _end_with_the_parent() -> None:
    """Ends this process with its parent; one that hangs would not see the pipe end."""
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
