"""A stream from beginning to end: its source, its network, and what it leaves behind."""

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction

import jax

from vidshift.command_line.progress import working
from vidshift.data.media import pixel_aspect as aspects
from vidshift.data.media import video
from vidshift.data.media.encoding import SQUARE
from vidshift.data.media.frame_index import index_of
from vidshift.devices.compilation_cache import keep_programs
from vidshift.stream import control, sources, state
from vidshift.stream.answering import FrameByFrame
from vidshift.stream.latest_frame import LatestFrame
from vidshift.stream.overlay import Drawing
from vidshift.stream.watch import Live, watch
from vidshift.stream.watcher import answering, find, taken_fps


def stream(
    options, *, open_source: Callable[[], Iterator], stop: Callable[[], bool]
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
    keep_programs()
    with working("building the network"):
        run, network, adaptive = find(options)
    seen_fps = taken_fps(fps, options)
    answer = answering(run, network, options, seen_fps)
    live, told, budget = Live(sys.stderr), lambda seconds: None, None
    if adaptive is not None:
        interval = answer.every / seen_fps if seen_fps else math.inf
        budget = control.Budget(
            adaptive,
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
    frames = sources.timed(
        open_source(),
        fps=options.fps,
        every=options.every_frame,
        stretch=stretch_of(options, run.view.pixel_aspect),
    )
    if options.pace == "real":
        frames = sources.paced(frames)
    newest = None
    if options.pace != "none":
        frames = newest = LatestFrame(frames, stop)
    try:
        figures = watch(
            frames,
            answer,
            view=run.view,
            top=functools.partial(
                run.description.task.top, classes=run.classes, number=options.top
            ),
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
    print(
        json.dumps(
            {
                "source": options.video or f"camera {options.camera}",
                "checkpoint": str(run.checkpoint),
                "network": run.description.name,
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


def stretch_of(options, pixel_aspect: str) -> Fraction:
    """Returns the factor of a file's frame widths; a camera's pixels are square."""
    if options.video is None:
        return SQUARE
    label = os.fspath(options.video)
    stored = index_of(label).pixel_aspect
    return aspects.stretch(stored, pixel_aspect, of=label, label=label)


def source_of(options, camera: Callable = sources.camera) -> Callable[[], Iterator]:
    """Begins the source that the options name."""
    if options.video is None:
        return functools.partial(camera, options.camera)
    return functools.partial(video.frames, options.video)
