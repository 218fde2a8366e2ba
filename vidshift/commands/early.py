"""Scores networks on the beginnings of videos (early recognition).

    vidshift early --run=runs/causal --run=runs/tsn --out=early

Of every video of a split the first 10, 20, ..., 100 % of the frames are shown (Figure 6
of TSM's paper). A causal network is streamed the frames that evaluation takes of the
whole video, as they come, and answers with the mean of its logits so far, at 100 % what
`vidshift eval` says. Any other network sees, at each share, the clip that evaluation
would take of the video so far. Writes OUT.json and OUT.png, and prints the table and
one JSON line.

Before the first of its frames has come, a causal network is shown the video's first.
"""

from vidshift.command_line.arguments import add_checkpoint, add_data_dir, add_run, count

PROGRAM = "vidshift.early"


def add_arguments(parser):
    add = parser.add_argument
    add_run(parser, action="append", required=True, help="a run; given several times")
    add_checkpoint(parser)
    add("--split", default="test", help="default: test")
    add_data_dir(parser)
    add("--batch-size", type=count, default=32, help="videos at a time (default: 32)")
    add("--out", help="of OUT.json and OUT.png; evaluation/early of the first run")
