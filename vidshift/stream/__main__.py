"""Watches a video or a camera with a run's network, and counts streams.

    python -m vidshift.stream --workdir=RUN --video=FILE       # every frame is answered
    python -m vidshift.stream --workdir=RUN --camera=0         # the newest one, always
    python -m vidshift.stream --workdir=RUN --capacity         # how many streams at once
    python -m vidshift.stream --network mobilenet_v2/tsm:causal=true --capacity

The top classes and the latency, from a frame in hand to its answer on the host, are
written to stderr as frames come, and one JSON line with all figures to stdout at the end.
A causal network sees frame by frame. Any other sees the clip that evaluation would take
of the video of the last frames (--window; a run with a table of budgets by itself), and
with --budget lines typed meanwhile change the budget: `budget 5`, `budget auto`,
`latency 20`.

A network trained on T frames of clips of S seconds is best shown about T / S frames a
second: --fps, or --every-frame. docs/streaming.md says more.

Exit code 1: the source broke off; all that was seen before is kept. 2: nothing began.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import signal
import threading
from collections.abc import Callable

from vidshift.command_line import errors
from vidshift.command_line.arguments import count, make_parser, positive
from vidshift.stream import capacity, control, session, sources
from vidshift.training.command import StopRequest


@errors.reported
def main(argv: list[str] | None = None, *, camera: Callable = sources.camera) -> int:
    options = _parser().parse_args(argv)
    _check(options)
    if options.capacity:
        return capacity.main(options)
    return _stopped(
        lambda stop: session.stream(
            options, open_source=session.source_of(options, camera), stop=stop
        ),
        quiet=options.video is None,
    )


def _stopped(run: Callable[[Callable[[], bool]], int], *, quiet: bool) -> int:
    """Runs until SIGINT or SIGTERM, which `quiet` takes for the usual end."""
    if threading.current_thread() is not threading.main_thread():
        return run(lambda: False)
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    request = StopRequest()
    try:
        code = run(lambda: bool(request))
        return request.exit_code if request and not (quiet or code) else code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(options) -> None:
    if options.out:
        errors.check_out("--out", options.out, folder=False)
    if options.capacity:
        if (options.workdir is None) == (options.network is None):
            raise ValueError("--capacity takes --workdir or --network")
        return
    if options.workdir is None:
        raise ValueError("--workdir says which run watches")
    if (options.video is None) == (options.camera is None):
        raise ValueError("give --video or --camera")
    if options.camera is not None:
        if options.pace == "none":
            raise ValueError("--pace is a video's: a camera has its own")
        options.pace = "camera"
    options.pace = options.pace or "none"
    if options.out and options.out == options.video:
        raise ValueError("--out is the video itself")


def _average(text: str) -> str | int:
    return text if text in ("all", "none") else count(text)


def _budget(text: str) -> str | float:
    return text if text == control.AUTO else positive(text)


_average.__name__ = "number, all or none"  # what argparse calls text that is none
_budget.__name__ = "number or auto"


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("python -m vidshift.stream", __doc__)
    add = parser.add_argument
    add("--workdir", help="a run, or one checkpoint of it")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="of the run; best",
    )
    add("--video", metavar="FILE", help="what to watch")
    add("--camera", metavar="NUMBER|NAME", help="what to watch; 0 is the first")
    add(
        "--pace",
        choices=("none", "real"),
        help="of a video: as fast as it can be, or at its own rate, as a camera; none",
    )
    add("--top", type=count, default=3, help="classes to name; 3")
    add("--every", type=count, default=1, help="answers from one line to the next; 1")
    add("--fps", type=positive, help="frames a second to look at, at most; all")
    add("--every-frame", type=count, default=1, metavar="N", help="look at each Nth; 1")
    add(
        "--average",
        type=_average,
        help="answers that are averaged: a number, all, none; 12 frame by frame, none of "
        "windows",
    )
    add(
        "--window",
        type=count,
        nargs="?",
        const=1,
        metavar="N",
        help="show clips of the last frames, at every Nth; 1",
    )
    add("--budget", type=_budget, help="GFLOPs a clip, or auto: what keeps up")
    add("--out", metavar="FILE", help="mp4 with the answers drawn in")
    add(
        "--state",
        metavar="FILE",
        help="goes on from it if it is there; saved at the end",
    )
    add(
        "--capacity",
        action="store_true",
        help="count streams that --fps leaves time for",
    )
    add(
        "--network", help="of --capacity: BACKBONE/TEMPORAL:option=value, without a run"
    )
    add("--side", type=count, default=224, help="of --network's frames, pixels; 224")
    add("--dtype", default="float32", help="of --network; float32")
    add("--largest", type=count, default=64, help="streams at most; 64")
    add(
        "--compare", action="store_true", help="time it beside TSN, which keeps nothing"
    )
    add(
        "--steps", type=count, default=100, help="timed for each number of streams; 100"
    )
    return parser


if __name__ == "__main__":
    errors.run(main)
