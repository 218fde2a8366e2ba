"""Trains a network, or goes on with a run that stopped.

    vidshift train --config=something_v1_tsm_resnet50 --workdir=runs/mine

Without arguments it trains a small network on clips that it makes itself. The same
command goes on where an earlier run in the folder stopped. A config is one of
vidshift's by name, or a file with a function get_config(). --config.FIELD=VALUE sets a
field of it; None switches off what may be off. --config.recipe=paper takes the paper's
values where its official code has others.

    vidshift train --workdir=runs/mine --config.epochs=1 --config.optim.lr=0.05
    vidshift train --config=my_config.py --workdir=runs/mine

It writes metrics.jsonl with every step, tensorboard/, and checkpoints/ with the last
ones and the best by validation accuracy.
"""

from vidshift.command_line.arguments import add_config

PROGRAM = "vidshift.train"


def add_arguments(parser):
    add_config(parser, default="tiny")
    parser.add_argument(
        "--workdir",
        default="runs/tiny",
        metavar="DIR",
        help="the run's folder (default: runs/tiny)",
    )
