"""Classifies video files.

    vidshift predict --run runs/mine holiday.mp4

Prints the most probable classes of each file, over the average of the protocol's views.
"""

from vidshift.command_line.arguments import (
    add_checkpoint,
    add_json,
    add_protocol,
    add_run,
    count,
)

PROGRAM = "vidshift.predict"


def add_arguments(parser):
    add = parser.add_argument
    add("videos", nargs="+", metavar="FILE", help="a video file")
    add_run(parser, required=True)
    add_checkpoint(parser)
    add_protocol(parser)
    add("--top", type=count, default=5, help="classes to print (default: 5)")
    add(
        "--soft",
        action="store_true",
        help="leave a RubiksNet's attention as it was trained: do not harden it",
    )
    add_json(parser)
