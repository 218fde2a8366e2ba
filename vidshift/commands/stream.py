"""Classifies a video or a camera frame by frame, and counts streams.

    vidshift stream --run runs/mine --video=FILE       # every frame is answered
    vidshift stream --run runs/mine --camera=0         # always the newest one
    vidshift stream --run runs/mine --capacity         # how many streams at once
    vidshift stream --network mobilenet_v2/tsm:causal=true --capacity

The top classes and the latency, from a frame in hand to its answer on the host, are
written to stderr as frames come, and one JSON line with all figures to stdout at the
end. A causal network sees frame by frame. Any other sees the clip that evaluation would
take of the last frames (--window; a run with a table of budgets does so without it).
With --budget, lines typed meanwhile change the budget: `budget 5`, `budget auto`,
`latency 20`.

A network trained on T frames of clips of S seconds is best shown about T / S frames a
second: --fps, or --every-frame. docs/streaming.md says more.

Exit code 1: the source broke off; all answers before are kept. 2: it could not start.
"""

from vidshift.command_line.arguments import add_checkpoint, add_run, count, positive

PROGRAM = "vidshift.stream.program"


def average(text: str) -> str | int:
    return text if text in ("all", "none") else count(text)


def budget(text: str) -> str | float:
    return text if text == "auto" else positive(text)


average.__name__ = "number, all or none"  # what argparse calls text that is none
budget.__name__ = "number or auto"


def add_arguments(parser):
    add = parser.add_argument
    add_run(parser)
    add_checkpoint(parser)
    add("--video", metavar="FILE", help="what to watch")
    add("--camera", metavar="NUMBER|NAME", help="what to watch; 0 is the first")
    add(
        "--pace",
        choices=("none", "real"),
        help="of a video: as fast as it can be (the default), or at its own rate, as a "
        "camera",
    )
    add("--top", type=count, default=3, help="classes to name (default: 3)")
    add(
        "--every",
        type=count,
        default=1,
        help="answers from one line to the next (default: 1)",
    )
    add(
        "--fps",
        type=positive,
        help="frames a second to look at, at most (default: all)",
    )
    add(
        "--every-frame",
        type=count,
        default=1,
        metavar="N",
        help="look at each Nth (default: 1)",
    )
    add(
        "--average",
        type=average,
        help="answers that are averaged: a number, all, none; 12 frame by frame, none of "
        "windows",
    )
    add(
        "--window",
        type=count,
        nargs="?",
        const=1,
        metavar="N",
        help="show clips of the last frames, at every Nth (1 without a number)",
    )
    add("--budget", type=budget, help="GFLOPs a clip, or auto: what keeps up")
    add(
        "--protocol",
        metavar="NAME",
        help="of the table's rows that --budget chooses from, where it has several",
    )
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
    add(
        "--side",
        type=count,
        default=224,
        help="of --network's frames, pixels (default: 224)",
    )
    add("--dtype", default="float32", help="of --network (default: float32)")
    add("--largest", type=count, default=64, help="streams at most (default: 64)")
    add(
        "--compare", action="store_true", help="time it beside TSN, which keeps nothing"
    )
    add(
        "--steps",
        type=count,
        default=100,
        help="steps timed for each number of streams (default: 100)",
    )
