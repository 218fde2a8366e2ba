"""Processes that call functions: one for each thread that asks, with a pipe of its own.

Not a ProcessPoolExecutor: its processes share a pipe, and one that is killed while it
sends its result leaves the reader waiting for the remainder.
"""

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from vidshift.data.parallel import ipc

# glibc's M_MMAP_THRESHOLD, at its largest, and M_TRIM_THRESHOLD.
MALLOC_OPTIONS = {-3: 32 * 2**20, -1: 128 * 2**20}
# A process that is not ready by then, on a busy machine too, never will be.
STARTING_SECONDS = 300.0
# Processes are forked from one that has imported this, and nothing else.
PRELOADED = "vidshift.data.loading.preloaded"


class Died(Exception):
    """A process has died, or hung and was ended."""

    def __init__(self, reason: str, *, hung: bool = False):
        super().__init__(reason)
        self.hung = hung


class Processes:
    """Starts a process for each thread that asks, and another where it dies.

    Args:
      functions: are pickled for the processes.
      most_seconds: limit for a call.
    """

    def __init__(self, *functions: Callable | None, most_seconds: float):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOADED])
        # Pickled once: a list of a million files takes its time.
        self._sent = pickle.dumps(functions)
        self._most_seconds = most_seconds
        self._local = threading.local()
        self._running: set[multiprocessing.Process] = set()
        self._lock, self._stopped = threading.Lock(), False

    def call(self, number: int, *args: Any) -> Any:
        """Calls the function of a number in the calling thread's process.

        Raises:
          Died: the process died, or hung and was ended.
          OSError: no process can be started.
          CancelledError: all were stopped.
          Exception: of the function.
        """
        if not hasattr(self._local, "pipe"):
            self._start()
        process, pipe = self._local.process, self._local.pipe
        try:
            ipc.send(pipe, ipc.pack((number, args)))
            result, error = ipc.receive(pipe, most_seconds=self._most_seconds)
        except TimeoutError:
            self._end()
            reason = f"the decoder took longer than {self._most_seconds:g} s"
            raise Died(reason, hung=True) from None
        except (EOFError, ConnectionError):
            self._end()
            if self._stopped:
                raise CancelledError from None
            raise Died(f"the decoder crashed{_signal(process.exitcode)}") from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """Ends all processes; no other is started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def join(self) -> None:
        """Waits for their end."""
        for process in self._running:
            process.join()

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
                self._running.add(process)
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
            self._running.discard(process)


def _signal(exitcode: int | None) -> str:
    return f" ({signal.Signals(-exitcode).name})" if exitcode and exitcode < 0 else ""


@contextlib.contextmanager
def _as_a_worker_starts(sent: bytes) -> Iterator[None]:
    """Keeps a process that is being started from handling SIGINT and running `__main__`.

    An interruption from the keyboard reaches all processes, and would print a traceback
    in each that still imports; the first one decides. And multiprocessing runs the
    program's file again, as the function might come from it: the command would import
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
        functions = pickle.loads(sent)
    except Exception as error:  # noqa: BLE001, the caller raises it
        _answer(pipe, None, error)
        return
    _answer(pipe, "ready", None)
    while True:
        try:
            number, args = ipc.receive(pipe)
        except (EOFError, ConnectionError):
            return
        try:
            result, error = functions[number](*args), None
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
