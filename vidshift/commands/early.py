"""Scores networks on the beginnings of videos (early recognition).

    vidshift early --run=runs/causal --run=runs/tsn --out=early

Of every video of a split the first 10, 20, ..., 100 % of the frames are shown (Figure 6
of TSM's paper, which does not say which of them its network saw). A causal network is
streamed every one of these frames, or every Nth with `--every N`, and answers with the
mean of its logits so far. Any other network, and TSN, sees at each share the clip that
evaluation would take if the video ended there. Writes OUT.json and OUT.png, and prints
the table and one JSON line.

A network that was trained on few frames of a whole video has learned larger motions than
those between neighbouring frames: `--every` brings the stream nearer to them.
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
    about = "a stream sees every Nth frame (default: 1)"
    add("--every", type=count, default=1, metavar="N", help=about)
    about = "of a longer video, frames further apart are streamed (default: 2000)"
    add("--max-frames", type=count, default=2000, metavar="N", help=about)
    add("--out", help="of OUT.json and OUT.png; evaluation/early of the first run")
