"""One stream from beginning to end: its source, its network, and what it leaves behind."""

import dataclasses
import functools
import json
import math
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import jax

from vidshift import runs
from vidshift.adaptive import table
from vidshift.data import video
from vidshift.data.on_device import normalise
from vidshift.data.view import View
from vidshift.stream import control, sources, state
from vidshift.stream.answering import FrameByFrame, Window
from vidshift.stream.newest import Newest
from vidshift.stream.overlay import Drawing
from vidshift.stream.top import Classes
from vidshift.stream.watch import Live, watch
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


def stream(
    options,
    *,
    open_source: Callable[[], Iterator],
    stop: Callable[[], bool],
) -> int:
    """Watches a source; prints a JSON line.

    Args:
      options: of the command.
      open_source: begins the source anew.
      stop: whether to end.

    Returns:
      0; 1 where the source broke off, which is said.

    Raises:
      ValueError: nothing could begin.
    """
    beginning = open_source()
    _, fps = next(beginning)
    beginning.close()
    run = find(options)
    seen_fps = taken_fps(fps, options)
    answer = answering(run, options, seen_fps)
    live, told, budget = Live(sys.stderr), lambda seconds: None, None
    if run.adaptive is not None:
        interval = answer.every / seen_fps if seen_fps else math.inf
        budget = control.Budget(
            run.adaptive,
            use=functools.partial(setattr, answer, "program"),
            seconds=answer.seconds,
            interval=interval,
            say=live.say,
        )
        budget.begin(str(options.budget))
        if sys.stdin is not None:
            budget.listen(sys.stdin)
        told = budget.answered
    if options.state and os.path.exists(options.state):
        answer.cache = state.restore(options.state, answer.cache)
    drawing = Drawing(options.out) if options.out else None
    frames = sources.timed(open_source(), fps=options.fps, every=options.every_frame)
    if options.pace == "real":
        frames = sources.paced(frames)
    newest = None
    if options.pace != "none":
        frames = newest = Newest(frames, stop)
    try:
        figures = watch(
            frames,
            answer,
            view=run.view,
            classes=Classes.of(run.description),
            number=options.top,
            every=options.every,
            live=live,
            drawing=drawing,
            answered=told,
            stop=stop,
        )
    finally:
        live.close()
        if newest is not None:
            newest.close()
        if budget is not None:
            budget.close()
        if options.state:
            state.save(options.state, answer.cache)
        if drawing is not None:
            drawing.close()
    device = jax.devices()[0]
    model = run.description["model"]
    print(
        json.dumps(
            {
                "source": options.video or f"camera {options.camera}",
                "checkpoint": str(run.checkpoint),
                "network": f"{model['backbone']}/{model['temporal']}",
                "sees": "frames" if isinstance(answer, FrameByFrame) else "windows",
                "pace": options.pace,
                "source_fps": fps,
                "seen_fps": seen_fps,
                **figures.summary(),
                "subnetworks": budget.answers if budget else None,
                "out": options.out if drawing is not None else None,
                "state": options.state,
                "device": device.device_kind,
                "jax": jax.__version__,
            }
        ),
        flush=True,
    )
    if figures.error is not None:
        print(
            f"stream: error: after frame {figures.frames - 1}: {figures.error}",
            file=sys.stderr,
        )
        return 1
    return 0


def source_of(options, camera: Callable = sources.camera) -> Callable[[], Iterator]:
    """Begins the source that the options name."""
    if options.video is None:
        return functools.partial(camera, options.camera)
    return functools.partial(video.frames, options.video)
