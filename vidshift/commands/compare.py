"""Compares runs on the same clips: accuracy, chance, cost, classes.

    vidshift compare runs/tsm runs/tsn --out comparison
    vidshift compare runs/tsm runs/tsn --split test --protocol 2x3-full --latency
    vidshift compare --group tsm=runs/tsm-1,runs/tsm-2 --group tsn=runs/tsn-1,runs/tsn-2

A RUN is a run's folder, a checkpoint, or a file of scores (.npz) that `vidshift eval`
wrote; NAME=RUN names its row. Scores beside a run are used if they are of the same
weights, split, protocol and average; otherwise the run is evaluated as by `vidshift
eval`, or with --no-eval the command is named.

Prints a Markdown table: parameters, multiplications of a view, accuracy with its 95 %
interval (Wilson), the difference to the first run, the clips that were gained and lost
against it, and the p of McNemar's test. Then follow the classes that gained and lost
most against the first run, with the class that they are most often taken for by the
network that is worse at them. All runs must have scored the same clips.

A --group is a row of means and spreads over runs: splits, seeds, choices of blocks. Its
runs may be of different splits; only those of the first run's clips are tested.

--out writes the table (`compare.md`), all figures (`compare.json`) and pictures:
accuracy over multiplications, over latency with --latency, the classes, and the curves
of the runs with a table of `vidshift budgets`.
"""

import argparse

from vidshift.command_line.arguments import (
    add_checkpoint,
    add_data_dir,
    add_protocol,
    count,
)

PROGRAM = "vidshift.compare.program"


def group(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, members = text.partition("=")
    if not (name and equals and all(members.split(","))):
        raise argparse.ArgumentTypeError(f"NAME=RUN,RUN, got {text}")
    return name, tuple(members.split(","))


def classes(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"at least 0, got {text}")
    return number


# What argparse calls text that is none.
classes.__name__ = "whole number"


def add_arguments(parser):
    add = parser.add_argument
    add(
        "runs", nargs="*", metavar="RUN", help="a run, a checkpoint or a .npz of scores"
    )
    add(
        "--group",
        type=group,
        action="append",
        default=[],
        metavar="NAME=RUN,RUN",
        help="mean and spread over runs",
    )
    add_checkpoint(parser)
    add("--split", help="default: each run's validation split")
    add_protocol(parser)
    add_data_dir(parser)
    add("--batch-size", type=count, default=64, help="videos at a time (default: 64)")
    add(
        "--no-eval",
        action="store_true",
        help="do not evaluate: name the commands for scores that are missing",
    )
    add(
        "--latency",
        action="store_true",
        help="time one view of each network here, in turns",
    )
    add(
        "--classes",
        type=classes,
        default=5,
        metavar="N",
        help="that gained most, and that lost most; 0 for none (default: 5)",
    )
    add("--out", metavar="DIR", help="of pictures, table and figures")
    add("--json", action="store_true", help="all figures as one JSON object")
