"""Trains one config under several schemes, and prints a table.

    vidshift schemes                    # every temporal scheme
    vidshift schemes --table rubiksnet  # RubiksNet's variants

Runs `vidshift train` once for each row, one after the other, and prints a Markdown
table of the test accuracies in the runs' metrics files. --config and its fields are
those of `vidshift train`.

The last checkpoint of a RubiksNet with attention is evaluated twice, hardened and as it
was trained. The table says how many channels move (the mean share over layers), how
many were undecided, and how many test clips the two networks answer differently.
"""

from vidshift.command_line.arguments import add_config

PROGRAM = "vidshift.schemes"


def add_arguments(parser):
    add_config(parser, default="tiny")
    add = parser.add_argument
    add("--table", default="schemes", help="schemes or rubiksnet (default: schemes)")
    add("--rows", metavar="NAME,NAME", help="rows of the table (default: all)")
    add(
        "--out",
        default="runs/schemes",
        metavar="DIR",
        help="of the runs (default: runs/schemes)",
    )
