"""Says how good networks' features are on a small labelled task.

    vidshift probe runs/mine
    vidshift probe runs/mine imagenet resnet18/tsm --config=folder --out runs/probe
    vidshift probe runs/mine --data hmdb51 --data-dir datasets --fine-tune

A RUN is a run's folder, a checkpoint, an official checkpoint that was converted, or
BACKBONE/TEMPORAL: the network with the weights that training would begin with. Each is
probed on the pooled features of one clip a video: by the k nearest clips, by logistic
regression, and with --fine-tune by training it for a few epochs. Only the training
split is learned from; the validation split chooses the regression's penalty.

The data are those of --config and its fields, or else those that the first run was
trained on; --data and --data-dir name others. Prints a Markdown table with accuracies on
the test split and their 95 % intervals (Wilson). The same command prints the same table.
"""

from vidshift.command_line.arguments import (
    add_checkpoint,
    add_config,
    count,
    positive,
)

PROGRAM = "vidshift.probe.program"


def add_arguments(parser):
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="a run, or BACKBONE/TEMPORAL")
    add_checkpoint(parser)
    add_config(parser)
    add("--data", metavar="NAME", help="another data set than the config's")
    add("--data-dir", metavar="DIR", help="where the data set lies, if moved")
    add("--k", type=count, default=20, metavar="K", help="neighbours (default: 20)")
    add("--fine-tune", action="store_true", help="train each network as well")
    add("--epochs", type=positive, default=4.0, help="of --fine-tune (default: 4)")
    add("--batch-size", type=count, default=64, help="clips at a time (default: 64)")
    add(
        "--out",
        metavar="DIR",
        help="of features and fine-tuned runs (default: RUN/evaluation/probe)",
    )
    add("--json", action="store_true", help="all figures as one JSON object")
