"""Log of a run: a JSON-lines file with every step, TensorBoard, the terminal."""

import collections
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterable, Sequence

import jax
import tqdm
from tensorboardX import SummaryWriter

METRICS_FILE = "metrics.jsonl"
# Metrics of a train step that are one number, as far as the step has them.
NUMBERS = ("loss", "top1", "lr", "grad_norm")
NUMBERS += ("distillation", "temperature", "attention_moved")


class NotFiniteError(ArithmeticError):
    """The loss or its gradient is NaN or infinite."""


def read_metrics(workdir: str | pathlib.Path) -> list[dict]:
    """Returns the lines of a run's metrics file, without one cut short by a kill."""
    path = pathlib.Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:  # no UTF-8, or no JSON
            raise ValueError(
                f"{path}, line {number}, is damaged ({error}): remove the line; the "
                "checkpoints do not need it"
            ) from None
    return records


def validations(workdir: str | pathlib.Path) -> dict[int, dict]:
    """Returns the lines of a run's validations by step."""
    lines = read_metrics(workdir)
    return {line["step"]: line for line in lines if line["kind"] == "validation"}


class InFlight:
    """Steps that the device has been given and that are not logged yet.

    Args:
      log: of the run.
      clips: of a step.
      failures: grows with each video that cannot be decoded.
      leaving: whether a process was asked to stop before the first step.
    """

    def __init__(self, log: "RunLog", clips: int, failures: Sequence, *, leaving: bool):
        self._log, self._clips, self._failures = log, clips, failures
        self._steps: collections.deque = collections.deque()
        # Whether any process was asked to stop, as the steps' metrics say.
        self.leaving = leaving

    def append(self, step: int, metrics: dict, waited: float) -> None:
        self._steps.append((step, metrics, waited))

    def finish(self, all_but: int) -> None:
        """Waits for steps and logs them in order; at most `all_but` stay in flight."""
        while len(self._steps) > all_but:
            step, metrics, waited = self._steps.popleft()
            metrics = jax.device_get(metrics)
            self._log.train(
                step,
                metrics,
                clips=self._clips,
                waited=waited,
                failed=len(self._failures),
            )
            self.leaving |= bool(metrics["stop"])


class RunLog:
    """Writes `metrics.jsonl`, `tensorboard/` and the terminal; a no-op where not chief.

    Each line has a `kind`: "train" (every step: `step`, `loss`, `top1`, `lr`,
    `grad_norm`, `clips`), "speed", "validation", "test" or "end" (`params_sha256`).
    With attention shifts "train" has `temperature`, `attention_moved` and
    `moved_channels` too (`state.make_train_step`), and "shifts" the latter by layer. In
    mutual training (A3D) it has `distillation` and `subnetworks` (`mutual.MutualStep`).

    Args:
      workdir: the run's directory.
      step: the step the run goes on from. Lines of later steps, which a killed run
        wrote after its last checkpoint, are dropped: they will be written again.
      steps: of the whole run.
      chief: whether this process writes.
      steps_per_epoch: of the data; None leaves out the time of an epoch.
    """

    def __init__(
        self,
        workdir: str,
        *,
        step: int,
        steps: int,
        log_steps: int,
        chief: bool,
        steps_per_epoch: float | None = None,
    ):
        self._chief = chief
        self._steps_per_epoch = steps_per_epoch
        self._log_steps = log_steps
        self._steps = steps
        self._step = step
        self._bar = None
        self.restart_clock()
        if not chief:
            return
        directory = pathlib.Path(workdir)
        kept = [
            line
            for line in read_metrics(workdir)
            if line["step"] <= step and line["kind"] not in ("test", "end")
        ]
        path = directory / METRICS_FILE
        rewritten = path.with_suffix(".tmp")
        rewritten.write_text("".join(json.dumps(line) + "\n" for line in kept))
        rewritten.replace(path)
        self._file = path.open("a", buffering=1)  # written line by line
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=steps, initial=step, unit="step", dynamic_ncols=True
            )

    def restart_clock(self) -> None:
        """Measures speed from here on, so that a validation is not step time."""
        self._began, self._first_step = time.perf_counter(), self._step
        self._waited = 0.0

    def say(self, text: str) -> None:
        """Prints a line for the person who watches."""
        if self._chief:
            tqdm.tqdm.write(text) if self._bar else print(text, flush=True)

    def line(self, kind: str, step: int, **values) -> None:
        """Writes a line of the metrics file, and its numbers to TensorBoard."""
        if not self._chief:
            return
        self._file.write(json.dumps({"kind": kind, "step": step} | values) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)
            elif isinstance(value, list) and kind == "shifts":  # by layer
                for layer, part in enumerate(value):
                    self._board.add_scalar(f"{kind}/{name}/{layer}", part, step)

    def figures(
        self, kind: str, step: int, figures: dict, metrics: Iterable[str]
    ) -> None:
        """Writes the result of a validation or test to the file and the terminal.

        Args:
          kind: "validation" or "test".
          step: that was evaluated.
          figures: all of them.
          metrics: names of those, fractions, that the terminal shows.
        """
        self.line(kind, step, **figures)
        shown = "  ".join(
            f"{name} {100 * figures[name]:.1f} %" for name in metrics if name in figures
        )
        if "undecided_channels" in figures:
            shown += (
                f"  hardened, {figures['undecided_channels']} of "
                f"{figures['attention_channels']} channels undecided"
            )
        self.say(f"{kind} at step {step}: {shown}  ({figures['clips']} clips)")

    def train(
        self, step: int, metrics: dict, *, clips: int, waited: float, failed: int = 0
    ) -> None:
        """Logs a finished step.

        Args:
          step: number of updates done.
          metrics: of the step.
          clips: of the step.
          waited: seconds for data.
          failed: videos so far that could not be decoded.

        Raises:
          NotFiniteError: the loss or its gradient is NaN or infinite.
        """
        values = {name: float(metrics[name]) for name in NUMBERS if name in metrics}
        by_layer = metrics.get("moved_channels")
        if by_layer is not None:
            values["moved_channels"] = float(by_layer.mean())
        drawn = {k: metrics[k] for k in ("subnetworks",) if k in metrics}
        high, low = (int(word) for word in metrics["clips"])
        self.line("train", step, **values, **drawn, clips=f"{high:08x}{low:08x}")
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values[name]):
                raise NotFiniteError(f"the {name} is {values[name]} at step {step}")
        self._step = step
        self._waited += waited
        if self._bar:
            self._bar.update(step - self._bar.n)
            rate = self._bar.format_dict["rate"]  # steps a second, lately
            speed = (
                f"{rate * clips:.0f} clips/s, {1000 / rate:.0f} ms/step" if rate else ""
            )
            self._bar.set_postfix_str(speed, refresh=False)
        if step % self._log_steps == 0 or step == self._steps:
            if by_layer is not None:
                self.line("shifts", step, moved_channels=by_layer.tolist())
            self._speed(step, values, clips, failed)

    def _speed(self, step: int, values: dict, clips: int, failed: int) -> None:
        passed = time.perf_counter() - self._began
        seconds = passed / max(step - self._first_step, 1)
        waiting = min(self._waited / passed, 1.0)
        left = time.strftime("%H:%M:%S", time.gmtime(seconds * (self._steps - step)))
        epoch, epoch_text = {}, ""
        if self._steps_per_epoch is not None:
            minutes = seconds * self._steps_per_epoch / 60
            epoch, epoch_text = {"epoch_minutes": minutes}, f"{minutes:.3g} min/epoch  "
        self.line(
            "speed",
            step,
            clips_per_second=clips / seconds,
            step_seconds=seconds,
            waiting_share=waiting,
            failed_videos=failed,
            **epoch,
        )
        text = (
            f"step {step}/{self._steps}  loss {values['loss']:.3f}  "
            f"top1 {100 * values['top1']:5.1f} %  lr {values['lr']:.4f}  "
            f"{clips / seconds:.0f} clips/s  {1000 * seconds:.0f} ms/step  "
            f"{epoch_text}waiting for data {100 * waiting:.0f} %  left {left}"
        )
        if "distillation" in values:
            text += f"  distillation {values['distillation']:.3f}"
        if "moved_channels" in values:
            text += f"  moved channels {100 * values['moved_channels']:.1f} %"
        if failed:
            text += f"  failed videos {failed}"
        self.say(text)
        self.restart_clock()

    def close(self) -> None:
        if self._chief:
            if self._bar:
                self._bar.close()
            self._file.close()
            self._board.close()
