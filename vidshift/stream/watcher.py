"""Watchers of a stream: a run's network, frame by frame or through a window."""

import dataclasses
import math
import pathlib
from typing import NamedTuple

import jax
from flax import nnx

from vidshift import checkpoints
from vidshift.adaptive import table
from vidshift.adaptive.switch import Adaptive
from vidshift.run import BUDGETS, Run
from vidshift.stream.answering import FrameByFrame, Window

# Logits that the official demonstration of TSM averages.
AVERAGE = 12
# What a network can be shown instead, for one that cannot see frame by frame.
WAY_OUT = "--window shows it clips of the last frames, computed anew each time"


class Watcher(NamedTuple):
    """A run that watches the stream, by its network or by its sub-networks."""

    run: Run
    network: nnx.Module | None = None
    adaptive: Adaptive | None = None


def find(options) -> Watcher:
    """Opens the run of `--run`: its network, or with a budget its sub-networks.

    Raises:
      ValueError: there is none, or it takes no RGB frames.
    """
    workdir = pathlib.Path(options.run)
    run = Run.open(workdir, options.checkpoint)
    modality = run.description.input.modality
    if modality != "rgb":
        raise ValueError(f"{workdir} takes {modality}: a stream is of RGB frames")
    if options.budget is None:
        network = run.network()
        has_table = (workdir / BUDGETS / table.TABLE_FILE).exists()
        if network.causal or options.window or not has_table:
            return Watcher(run, network)
        options.budget = math.inf
    adaptive = run.adaptive(protocol=options.protocol)
    run = Run.open(workdir / checkpoints.DIRECTORY / adaptive.table.checkpoint)
    # All take the same pictures.
    rows = tuple(r for r in adaptive.table.rows if r.crop == run.view.crop)
    if not rows:
        raise ValueError(
            f"the table of {workdir} has no sub-network at the run's crop of "
            f"{run.view.crop}"
        )
    adaptive.table = dataclasses.replace(adaptive.table, rows=rows)
    return Watcher(run, adaptive=adaptive)


def taken_fps(fps: float, options) -> float:
    """Frames a second that the network is to see; 0 if not known."""
    if options.fps is None:
        return fps / options.every_frame
    return min(fps, options.fps) if fps else options.fps


def answering(
    run: Run, network: nnx.Module | None, options, fps: float
) -> FrameByFrame | Window:
    """Compiles the network; of sub-networks none is chosen yet.

    Args:
      run: of the network.
      network: None for sub-networks.
      options: of the command.
      fps: of the frames that it sees.

    Raises:
      ValueError: it cannot be shown frame by frame, and no window is asked for.
    """
    average = None if options.average == "none" else options.average
    view, shown = run.view, run.normalise
    if network is not None and not options.window:
        average = AVERAGE if options.average is None else average
        try:
            return FrameByFrame(
                network, side=view.crop, normalise=shown, average=average
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
    if network is not None:
        window.program = jax.jit(network)
        window.seconds(window.program)
    return window
