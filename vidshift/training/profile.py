"""A profiler's trace of some training steps, and its summary for the terminal."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

import jax

from vidshift.kernels.analysis import traces
from vidshift.training.log import InFlight, RunLog

FOLDER = "profile"  # in the run's


class StepTrace:
    """Records the steps that `config.profile.steps` names, then says what took the time.

    Each process writes its part of the trace to `workdir/profile`, where xprof and
    TensorBoard's profile plugin read it. The trace holds the devices' operations and
    XLA's work on the host, but no Python calls: those would be most of it.

    Args:
      steps: the steps to record, by the number of updates before them. A run that goes
        on within them records the rest.
      workdir: the run's directory.
      log: of the run.
      in_flight: its steps under way. None is when recording begins or ends.
    """

    def __init__(self, steps: range, workdir: str, log: RunLog, in_flight: InFlight):
        self._steps, self._log, self._in_flight = steps, log, in_flight
        self._directory = pathlib.Path(workdir) / FOLDER
        self._recorded: list[int] | None = None  # while recording

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Records a step if it is to be, under its number."""
        if step not in self._steps:
            yield
            return
        if self._recorded is None:
            self._begin()
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            yield
        self._recorded.append(step)

    def _begin(self) -> None:
        self._in_flight.finish(all_but=0)
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        jax.profiler.start_trace(self._directory, profiler_options=options)
        self._recorded, self._began = [], time.perf_counter()
        self._log.restart_clock()

    def end_before(self, step: int) -> None:
        """Ends the recording if this step is not part of it, and says what it holds."""
        if self._recorded is None or step in self._steps:
            return
        self._in_flight.finish(all_but=0)
        count, first = len(self._recorded), self._recorded[0]
        seconds = time.perf_counter() - self._began
        self.close()
        self._log.say(
            f"recorded {count} steps after {first} updates, {1000 * seconds / count:.1f} "
            f"ms each, for xprof: xprof server --logdir={self._directory}"
        )
        self._log.say(traces.summary(traces.operations(self._directory), count))
        self._log.restart_clock()

    def close(self) -> None:
        """Writes what was recorded of steps that did not all come."""
        if self._recorded is not None:
            self._recorded = None
            jax.profiler.stop_trace()
