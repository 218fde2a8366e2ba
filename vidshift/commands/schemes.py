"""Trains one config under several schemes, and prints a table.

    vidshift schemes                    # every temporal scheme
    vidshift schemes --table rubiksnet  # RubiksNet's variants
    vidshift schemes --table order --imagenet runs/imagenet --config.data.dir=datasets

Runs `vidshift train` and `vidshift eval` once for each row and seed, one after the other,
and prints a Markdown table. Says beforehand how many hours it takes. Interrupted, the
same command goes on; what is trained stays in --out. --config and its fields are those
of `vidshift train`.

The interval is over the test clips, resampled; of --table order over the places that
they begin at. Several seeds give the mean, and the standard deviation over them.

--table order asks which way real videos play: `arrow_of_time`, MobileNetV2 from
ImageNet's weights (--imagenet, a run that `vidshift convert` made) and from nothing.

The last checkpoint of a RubiksNet with attention is evaluated twice, hardened and as it
was trained. The table says how many channels move (the mean share over layers), how
many were undecided, and how many test clips the two networks answer differently.
"""

import argparse

from vidshift.command_line.arguments import add_config

PROGRAM = "vidshift.schemes.program"


def seeds(text: str) -> tuple[int, ...]:
    """Numbers without repeats."""
    numbers = tuple(map(int, text.split(",")))
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"each seed once, got {text}")
    return numbers


def add_arguments(parser):
    add_config(parser)
    add = parser.add_argument
    about = "schemes, rubiksnet or order (default: schemes)"
    add("--table", default="schemes", help=about)
    about = "of each row (default: 0; of order 0,1,2)"
    add("--seeds", type=seeds, metavar="N,N", help=about)
    add("--imagenet", metavar="RUN", help="of --table order: first weights")
    add("--rows", metavar="NAME,NAME", help="rows of the table (default: all)")
    add(
        "--out",
        default="runs/schemes",
        metavar="DIR",
        help="of the runs (default: runs/schemes)",
    )
