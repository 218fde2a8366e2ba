"""Lines for the person who waits: one soon, then one every 10 seconds.

They go to stderr; stdout has what a command is asked for.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

SECONDS_BETWEEN_LINES = 10.0
# Bad input is found within this time and is the only line then. With the imports, the
# first line comes within 5 seconds.
SECONDS_BEFORE_LINES = 1.0
Say = Callable[[str], None]
Item = TypeVar("Item")


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def working(what: str, say: Say = to_stderr, *, begin: bool = False) -> Iterator[None]:
    """Says what goes on where it takes a second, and every 10 seconds for how long it has.

    Args:
      what: in words that go on, such as "building resnet50".
      say: takes a line.
      begin: say it at once.
    """
    ended, began = threading.Event(), time.monotonic()

    def report() -> None:
        if not begin:
            if ended.wait(SECONDS_BEFORE_LINES):
                return
            say(what)
        while not ended.wait(SECONDS_BETWEEN_LINES):
            say(f"{what}: {time.monotonic() - began:.0f} s so far")

    if begin:
        say(what)
    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Progress:
    """Says every 10 seconds how much of something is done.

    Args:
      verb: such as "evaluated".
      total: how many there are to do.
      of: what is counted, such as "videos".
      say: takes a line.
    """

    def __init__(self, verb: str, total: int, of: str, say: Say = to_stderr):
        self._verb, self._total, self._of, self._say = verb, total, of, say
        self._began = self._said = time.monotonic()

    def done(self, count: int) -> None:
        """Takes how many are done by now."""
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        left = (now - self._began) / max(count, 1) * (self._total - count)
        self._say(
            f"{self._verb} {count:,} of {self._total:,} {self._of}, {left:.0f} s to go"
        )


def counted(
    items: Iterable[Item] | Sized, verb: str, of: str, say: Say = to_stderr
) -> Iterator[Item]:
    """Yields the items, and says every 10 seconds how many are done."""
    progress = Progress(verb, len(items), of, say)
    for number, item in enumerate(items):
        progress.done(number)
        yield item
