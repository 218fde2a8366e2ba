"""Trains a network; goes on where an earlier run of the same command stopped.

    vidshift train --config=something_v1_tsm_resnet50 --workdir=runs/mine

Without arguments it trains a small network on clips that it makes itself. A config is one
of vidshift's by name, or a file with a function get_config(). Any field of it is set by
--config.FIELD=VALUE; None switches off what may be off.

    vidshift train --workdir=runs/mine --config.epochs=1 --config.optim.lr=0.05
    vidshift train --config=my_config.py --workdir=runs/mine

Its folder gets metrics.jsonl with every step, tensorboard/, and checkpoints/ with the last
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
        help="the run's folder; runs/tiny",
    )
