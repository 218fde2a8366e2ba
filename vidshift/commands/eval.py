"""Scores a run on a split under a named protocol.

    vidshift eval --run runs/mine --protocol 2x3-full

Prints one JSON line; the scores of every clip and the confusion matrix are written
beside the run. If clips have several labels, the figure is mAP; if they have several
tasks, each task has its own figures. Neither has a confusion matrix.

Several --run are scored together, by the weighted mean of their scores
(--weights=1,1.5); so are --scores, files that earlier evaluations wrote.
--submission=FILE writes answers for the server of a test without public labels.
--video=FILE is `vidshift predict`.
"""

from vidshift.command_line.arguments import (
    add_checkpoint,
    add_data_dir,
    add_protocol,
    add_run,
    count,
)

PROGRAM = "vidshift.eval"


def weights(text: str) -> list[float]:
    return [float(weight) for weight in text.split(",")]


weights.__name__ = "numbers with commas between them"  # as argparse calls other text


def add_arguments(parser):
    add = parser.add_argument
    add_run(
        parser,
        "--workdir",
        action="append",
        default=[],
        help="a run's folder, or one checkpoint; given several times, they are scored "
        "together; runs/tiny if neither it nor --scores is given",
    )
    add_checkpoint(parser)
    add(
        "--scores",
        action="append",
        default=[],
        metavar="FILE",
        help="scores of an earlier evaluation (.npz), as if it were a --run",
    )
    add(
        "--weights",
        type=weights,
        metavar="X,X",
        help="of each --run, then each --scores; all alike if left out",
    )
    add_protocol(parser, averaged="views and networks")
    add("--split", default="test", help="which one is scored (default: test)")
    add_data_dir(parser)
    add("--batch-size", type=count, default=64, help="videos at a time (default: 64)")
    add(
        "--out",
        metavar="DIR",
        help="of scores and confusion matrix (default: RUN/evaluation)",
    )
    add(
        "--submission",
        metavar="FILE",
        help="answers, in the format of the data set's server",
    )
    add(
        "--soft",
        action="store_true",
        help="leave a RubiksNet's attention as it was trained: do not harden it",
    )
    add("--video", metavar="FILE", help="a video file to classify instead")
    add(
        "--top",
        type=count,
        default=5,
        help="classes to print with --video (default: 5)",
    )
