"""SIGTERM and SIGINT as a wish that a loop looks at."""

import signal
import sys


class StopRequest:
    """True once SIGTERM or SIGINT came; a second signal ends the process at once."""

    def __init__(self):
        self.signal: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number, frame):
        del frame
        if self.signal is not None:
            sys.exit(128 + number)
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + (self.signal or signal.SIGTERM)
