"""The newest frame of a source that does not wait."""

import threading
from collections.abc import Callable, Iterable, Iterator

from vidshift.stream.sources import Frame

# Of a wait, after which it is asked whether to stop.
SECONDS = 0.1


class LatestFrame(Iterator[Frame]):
    """Reads frames in a thread and hands out the newest, so that nothing ever lags.

    One that a network is to see gives way to such a one alone. An error of the source is
    raised after the frames before it.

    Args:
      frames: of a source; read to its end, or until `close`.
      stop: asked while there is no frame; True ends the iteration.
    """

    def __init__(
        self, frames: Iterable[Frame], stop: Callable[[], bool] = lambda: False
    ):
        # Frames that the network was to see and that nobody looked at.
        self.skipped = 0
        self._stop = stop
        self._slot: Frame | None = None
        self._error: Exception | None = None
        self._ended = self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=[frames], daemon=True)
        self._thread.start()

    def _read(self, frames: Iterable[Frame]) -> None:
        try:
            for frame in frames:
                with self._changed:
                    if self._closed:
                        break
                    waiting = self._slot is not None and self._slot.due
                    if waiting and not frame.due:
                        continue
                    self.skipped += waiting
                    self._slot = frame
                    self._changed.notify()
        except Exception as error:  # noqa: BLE001, raised by __next__
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __next__(self) -> Frame:
        with self._changed:
            while self._slot is None:
                if self._ended and self._error is not None:
                    raise self._error
                if self._ended or self._stop():
                    raise StopIteration
                self._changed.wait(SECONDS)
            frame, self._slot = self._slot, None
            return frame

    def close(self) -> None:
        """Stops reading; a camera that is waited for is left to its thread."""
        with self._changed:
            self._closed = True
        self._thread.join(timeout=10 * SECONDS)
