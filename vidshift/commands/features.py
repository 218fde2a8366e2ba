"""Writes features of videos: an array a video, a row a sliding window.

    vidshift features runs/mine --source videos --out features
    vidshift features runs/mine --source match.mp4 --out features --window 32 --stride 8
    vidshift features runs/mine --data something_v2 --split test --out features

Networks that localise actions read such files: `OUT/NAME.npy`, float32 `[windows, C]`,
for every video below --source, and `OUT/features.json`, which says what they are. Each
video is decoded once; windows share its frames. An interrupted call goes on when it is
started again, and what cannot be decoded is left out, counted and listed.

--flow=RUN computes optical flow and adds the features of a network that takes it, as
further columns. --stream shows a causal network every frame once, whatever its clips
were, and writes a row a frame. docs/features.md says more.
"""

from vidshift.command_line.arguments import (
    add_checkpoint,
    count,
    positive,
)

PROGRAM = "vidshift.features.program"


def add_arguments(parser):
    add = parser.add_argument
    add("run", metavar="RUN", help="a run's folder, or one checkpoint")
    add_checkpoint(parser)
    add("--source", metavar="DIR|FILE", help="videos: a folder, or one file")
    add("--data", metavar="NAME", help="a data set, in place of --source")
    add("--split", default="test", help="of --data (default: test)")
    add("--data-dir", metavar="DIR", help="where --data lies, if moved")
    add("--out", metavar="DIR", required=True, help="of the features")
    add("--window", type=count, metavar="N", help="frames (default: a clip's span)")
    add(
        "--stride",
        type=count,
        metavar="N",
        help="frames from one window to the next (default: --window, of --stream 1)",
    )
    add(
        "--fps",
        type=positive,
        metavar="X",
        help="frames a second that are read (default: each video's own)",
    )
    add(
        "--layer",
        choices=("pooled", "frames", "spatial"),
        default="pooled",
        help="pooled: a vector a window, before the last layer (the default); frames: "
        "one a frame of it; spatial: the last feature map",
    )
    add("--flow", metavar="RUN", help="of a network that takes flow (the extra [flow])")
    add("--stream", action="store_true", help="of a causal network, frame by frame")
    add(
        "--format",
        choices=("npy", "npz"),
        default="npy",
        help="npz: the array is named feats (default: npy)",
    )
    add("--batch-size", type=count, default=16, help="windows at a time (default: 16)")
    add("--workers", type=count, metavar="N", help="threads that decode (default: all)")
    add(
        "--soft",
        action="store_true",
        help="leave a RubiksNet's attention as it was trained: do not harden it",
    )
