"""Progress of a preparation, and the time it has to go."""

import collections
import sys
import threading
import time

SECONDS_BETWEEN_REPORTS = 5.0
# The time to go is by the rate of the last minute, or of the last clips where they take
# longer: it forgets how long the processes took to start.
RATE_SECONDS, RATE_CLIPS = 60.0, 50
# It is left out until a rate is known. The first clips come at once, as they waited for
# the first one.
LEAST_SECONDS, LEAST_CLIPS = 1.0, 8


class ClipProgress:
    """Says on stderr how far it is: every few seconds, clip or no clip, and at the end.

    Use it with `with`, so that it ends.
    """

    def __init__(self, name: str, total: int):
        self._name, self._total = name, total
        self._done = self._failed = self._resumed = 0
        self._began = self._said = time.monotonic()
        # (when, clips done) of clips that were made here, the last ones.
        self._made: collections.deque[tuple[float, int]] = collections.deque()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, clips: int = 1, failed: int = 0, *, resumed: bool = False):
        with self._lock:
            self._done += clips
            self._failed += failed
            self._resumed += clips if resumed else 0
            now = time.monotonic()
            if not resumed:
                self._made.append((now, self._done))
                while (
                    now - self._made[0][0] > RATE_SECONDS
                    and len(self._made) > RATE_CLIPS
                ):
                    self._made.popleft()
            if self._done == self._total or self._due(now):
                self._say(now)

    def seconds_to_go(self, now: float) -> float | None:
        """Estimates the rest from the last clips; None where too few are made."""
        if not self._made:
            return None
        (first, before), made = self._made[0], self._done
        seconds, clips = now - first, made - before
        if seconds < LEAST_SECONDS or clips < LEAST_CLIPS:
            return None
        return (self._total - made) * seconds / clips

    def _due(self, now: float) -> bool:
        return now - self._said >= SECONDS_BETWEEN_REPORTS

    def _tick(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_REPORTS / 10):
            with self._lock:
                now = time.monotonic()
                if self._due(now) and self._done < self._total:
                    self._say(now)

    def _say(self, now: float) -> None:
        self._said = now
        rate = (self._done - self._resumed) / max(now - self._began, 1e-3)
        line = (
            f"{self._name}: {self._done:,} of {self._total:,} clips, {rate:.1f} clips/s"
        )
        if self._failed:
            line += f", {self._failed:,} left out"
        if self._done < self._total:
            left = self.seconds_to_go(now)
            if left is not None:
                line += f", {_clock(left)} to go"
            elif not self._made:
                line += ", starting"
        print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
