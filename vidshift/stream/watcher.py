"""What watches a stream: a run's network, frame by frame or through a window."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable

import jax

from vidshift import runs
from vidshift.adaptive import table
from vidshift.data.device.on_device import normalise
from vidshift.data.views.view import View
from vidshift.stream.answering import FrameByFrame, Window
from vidshift.training import checkpoints

# Logits that the official demonstration of TSM averages.
AVERAGE = 12
# What a network can be shown instead, for one that cannot see frame by frame.
WAY_OUT = "--window shows it clips of the last frames, computed anew each time"


@dataclasses.dataclass(slots=True)
class Run:
    """What watches the stream."""

    checkpoint: pathlib.Path
    description: dict
    # Exactly one of the two.
    model: object | None = None
    adaptive: object | None = None

    @property
    def view(self) -> View:
        return runs.eval_view(self.description["input"])

    @property
    def normalise(self) -> Callable:
        return functools.partial(normalise, **runs.normalisation(self.description))


def find(options) -> Run:
    """The run of `--workdir`: its network, or with a budget its sub-networks.

    Raises:
      ValueError: there is none, or it takes no RGB frames.
    """
    workdir = pathlib.Path(options.workdir)
    checkpoint = checkpoints.find(workdir, options.checkpoint)
    run = Run(checkpoint, checkpoints.read_description(checkpoint))
    modality = run.description["input"].get("modality", "rgb")
    if modality != "rgb":
        raise ValueError(f"{workdir} takes {modality}: a stream is of RGB frames")
    if options.budget is None:
        run.model = runs.load(checkpoint)
        has_table = (workdir / runs.BUDGETS / table.TABLE_FILE).exists()
        if run.model.causal or options.window or not has_table:
            return run
        options.budget, run.model = math.inf, None
    adaptive = runs.load_adaptive(workdir)
    checkpoint = checkpoints.find(
        workdir / checkpoints.DIRECTORY / adaptive.table.checkpoint
    )
    run = Run(checkpoint, checkpoints.read_description(checkpoint), adaptive=adaptive)
    # All take the same pictures.
    rows = tuple(r for r in adaptive.table.rows if r.crop == run.view.crop)
    if not rows:
        raise ValueError(
            f"the table of {workdir} has no sub-network at the run's crop of "
            f"{run.view.crop}"
        )
    adaptive.table = dataclasses.replace(adaptive.table, rows=rows)
    return run


def taken_fps(fps: float, options) -> float:
    """Frames a second that the network is to see; 0 if not known."""
    if options.fps is None:
        return fps / options.every_frame
    return min(fps, options.fps) if fps else options.fps


def answering(run: Run, options, fps: float) -> FrameByFrame | Window:
    """The network, compiled; of sub-networks none is chosen yet.

    Args:
      fps: of the frames that it sees.

    Raises:
      ValueError: it cannot be shown frame by frame, and no window is asked for.
    """
    average = None if options.average == "none" else options.average
    view, shown = run.view, run.normalise
    if run.model is not None and not options.window:
        average = AVERAGE if options.average is None else average
        try:
            return FrameByFrame(
                run.model, side=view.crop, normalise=shown, average=average
            )
        except ValueError as error:
            raise ValueError(f"{error}; or {WAY_OUT}") from error
    if options.state:
        raise ValueError(
            "--state is of a network that sees frame by frame: no --window"
        )
    window = Window(
        lambda clips: None,
        view,
        normalise=shown,
        fps=fps,
        every=options.window or 1,
        average=average,
    )
    if run.model is not None:
        window.program = jax.jit(run.model)
        window.seconds(window.program)
    return window
