"""Trains one config under several schemes, and prints a table.

    vidshift compare                   # every temporal scheme
    vidshift compare --table rubiksnet # RubiksNet's variants

Runs `vidshift train` once a row, one after the other, and prints a Markdown table of test
accuracies, read from the runs' metrics files. --config and its fields are those of
`vidshift train`.

Of a RubiksNet with attention the last checkpoint is evaluated twice, hardened and as it
was trained: how many channels move (the mean over layers of the share), how many had not
decided, and how many of the test clips the two call by another name.
"""

from vidshift.command_line.arguments import add_config

PROGRAM = "vidshift.compare"


def add_arguments(parser):
    add_config(parser, default="tiny")
    add = parser.add_argument
    add("--table", default="schemes", help="schemes or rubiksnet; schemes")
    add("--rows", metavar="NAME,NAME", help="rows of the table; all")
    add(
        "--out", default="runs/compare", metavar="DIR", help="of the runs; runs/compare"
    )
