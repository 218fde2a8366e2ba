"""Batches placed on the device before they are asked for."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from vidshift.data.loading.batches import Batch, Batches, Failure


class Prefetch(contextlib.AbstractContextManager, Iterator[Any]):
    """Takes batches and places them in a thread, at most `ahead` of them before their use.

    An error of the loader or of `place` is raised where its batch would have come, after
    the batches before it, and again at each later call.

    Args:
      batches: closed with this.
      place: is called with each batch in the thread, and puts it on the device.

    Attributes:
      seen, failures: as in `Batches`, for the batches returned so far.
    """

    def __init__(
        self, batches: Batches, place: Callable[[Batch], Any], *, ahead: int = 2
    ):
        self.seen = 0
        self.failures: list[Failure] = []
        self._batches, self._place = batches, place
        self._free = threading.Semaphore(ahead)
        self._ready: queue.SimpleQueue = queue.SimpleQueue()
        self._closed = False
        # A daemon: a batch that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=__name__, daemon=True)
        self._thread.start()

    def __next__(self) -> Any:
        batch, counts, error = self._ready.get()
        if error is not None:
            self._ready.put((None, None, error))
            raise error
        self.seen, failed = counts
        self.failures += self._batches.failures[len(self.failures) : failed]
        self._free.release()
        return batch

    def _run(self) -> None:
        while True:
            self._free.acquire()
            if self._closed:
                return
            try:
                batch = self._place(next(self._batches))
            except BaseException as error:  # noqa: BLE001, raised by __next__
                self._ready.put((None, None, error))
                return
            counts = self._batches.seen, len(self._batches.failures)
            self._ready.put((batch, counts, None))
            # Else it would be held until the next one comes.
            del batch

    def close(self) -> None:
        """Stops the thread and the loader; batches not yet returned are dropped."""
        self._closed = True
        self._free.release()
        self._batches.close()
        self._thread.join(10.0)

    def __exit__(self, *_) -> None:
        self.close()
