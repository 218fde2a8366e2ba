"""How far a preparation is."""

import sys
import time

SECONDS_BETWEEN_REPORTS = 5.0


class Progress:
    """Says on stderr how far it is, every few seconds and at the end."""

    def __init__(self, name: str, total: int):
        self._name, self._total = name, total
        self._done = self._failed = self._resumed = 0
        self._began = self._said = time.monotonic()

    def __call__(self, clips: int = 1, failed: int = 0, *, resumed: bool = False):
        self._done += clips
        self._failed += failed
        self._resumed += clips if resumed else 0
        now = time.monotonic()
        at_end = self._done == self._total
        if not at_end and now - self._said < SECONDS_BETWEEN_REPORTS:
            return
        self._said = now
        rate = (self._done - self._resumed) / max(now - self._began, 1e-3)
        left = (self._total - self._done) / rate if rate else 0
        print(
            f"{self._name}: {self._done:,} of {self._total:,} clips, {rate:.1f} clips/s, "
            f"{self._failed:,} left out" + (not at_end) * f", {_clock(left)} to go",
            file=sys.stderr,
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
