"""Which sub-network of an A3D run watches a stream: a budget that may change meanwhile."""

import concurrent.futures
import queue
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from vidshift.adaptive.switch import Adaptive
from vidshift.adaptive.table import BudgetRow

AUTO = "auto"
WORDS = "`budget GFLOPS`, `budget auto`, `latency MILLISECONDS`"
# Share of the time between two answers that a network may take: to go on, and to be
# switched to, so that two do not take turns.
LAGS, FITS = 1.0, 0.8
# Answers that are looked at, and that have to be seen before a switch to a larger one.
ANSWERS, PATIENCE = 5, 20


class Largest:
    """Chooses the most accurate network that keeps up, from its answers' latencies.

    What a network takes is known from before the stream (`seconds`); the answers of the
    one that runs say by how much more it is here, beside all else that the machine does.

    Args:
      seconds: for a clip, by row.
      interval: seconds from one answer to the next.
    """

    def __init__(self, seconds: dict[BudgetRow, float], interval: float):
        self._seconds = seconds
        self._interval = interval
        self._recent: deque[float] = deque(maxlen=ANSWERS)
        self._patience = PATIENCE
        self.row = self._best(0.0)

    def _best(self, more: float) -> BudgetRow:
        """Chooses with `more` seconds for each answer than the network alone takes."""
        fits = [
            row for row, s in self._seconds.items() if s + more <= FITS * self._interval
        ]
        if not fits:
            return min(self._seconds, key=self._seconds.get)
        return max(fits, key=lambda row: (row.top1, -self._seconds[row]))

    def answered(self, seconds: float) -> BudgetRow:
        """Takes the latency of an answer; gives the network for the next one."""
        self._recent.append(seconds)
        self._patience -= 1
        if len(self._recent) < ANSWERS:
            return self.row
        usual = statistics.median(self._recent)
        best = self._best(max(0.0, usual - self._seconds[self.row]))
        lags = usual > LAGS * self._interval
        larger = self._seconds[best] > self._seconds[self.row]
        if best != self.row and (lags and not larger or self._patience <= 0):
            self.row = best
            self._recent.clear()
            self._patience = PATIENCE
        return self.row


class Budget:
    """Puts sub-networks in a window's place, as lines of text and latencies ask for.

    Args:
      adaptive: the run's networks.
      use: takes the program of the next clips.
      seconds: how long a program takes for a clip, which also compiles it.
      interval: seconds from one answer to the next.
      say: takes what a user is to read.
    """

    def __init__(
        self,
        adaptive: Adaptive,
        *,
        use: Callable[[Callable], None],
        seconds: Callable[[Callable], float],
        interval: float,
        say: Callable[[str], None],
    ):
        self._adaptive, self._use, self._seconds = adaptive, use, seconds
        self._interval, self._say = interval, say
        self._compiling = concurrent.futures.ThreadPoolExecutor(1)
        self._next: concurrent.futures.Future | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._auto: Largest | None = None
        self.row: BudgetRow | None = None
        # Answers by sub-network.
        self.answers: dict[str, int] = {}

    def begin(self, budget: str) -> None:
        """Takes `--budget`, and waits until its network is ready.

        Raises:
          ValueError: nothing is so cheap, or it is no budget.
        """
        self._next = self._asked(f"budget {budget}")
        self._switch(wait=True)

    def listen(self, lines: Iterable[str]) -> None:
        """Reads lines in a thread, to the end of the file."""

        def read():
            for line in lines:
                self._lines.put(line)

        threading.Thread(target=read, daemon=True).start()

    def answered(self, seconds: float) -> None:
        """Counts an answer, does what was asked, and switches."""
        name = str(self.row.subnetwork)
        self.answers[name] = self.answers.get(name, 0) + 1
        while not self._lines.empty():
            line = self._lines.get()
            try:
                self._next = self._asked(line)
            except ValueError as error:
                self._say(str(error))
        if self._auto is not None and self._next is None:
            row = self._auto.answered(seconds)
            if row != self.row:
                self._next = self._ready(row, self._auto)
        self._switch(wait=False)

    def close(self) -> None:
        self._compiling.shutdown(wait=True, cancel_futures=True)

    def _asked(self, line: str) -> concurrent.futures.Future | None:
        """Prepares the network that a line asks for."""
        word, _, value = line.strip().partition(" ")
        if not word:
            return self._next
        if (word, value.strip()) == ("budget", AUTO):
            return self._compiling.submit(self._measured)
        if word not in ("budget", "latency"):
            raise ValueError(f"{line.strip()!r} is none of {WORDS}")
        try:
            limit = float(value)
        except ValueError:
            raise ValueError(f"{line.strip()!r} is none of {WORDS}") from None
        name = "gflops" if word == "budget" else "latency_ms"
        return self._ready(self._adaptive.row(**{name: limit}))

    def _ready(
        self, row: BudgetRow, auto: Largest | None = None
    ) -> concurrent.futures.Future:
        def compiled():
            program = self._adaptive.at(row.subnetwork)
            self._seconds(program)
            return row, program, auto

        return self._compiling.submit(compiled)

    def _measured(self):
        rows: Sequence[BudgetRow] = self._adaptive.table.pareto()
        programs = {row: self._adaptive.at(row.subnetwork) for row in rows}
        auto = Largest(
            {row: self._seconds(program) for row, program in programs.items()},
            self._interval,
        )
        return auto.row, programs[auto.row], auto

    def _switch(self, *, wait: bool) -> None:
        """Switches to a network that is ready; until then the old one goes on."""
        if self._next is None or not (wait or self._next.done()):
            return
        (row, program, self._auto), self._next = self._next.result(), None
        if row != self.row:
            self.row = row
            self._use(program)
        self._say(f"sub-network {row.subnetwork}, {row.gflops:.4g} GFLOPs")
