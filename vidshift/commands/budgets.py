"""Measures the cost and accuracy of each sub-network of an A3D run.

    vidshift budgets --run runs/a3d                    # the table, all of the grid
    vidshift budgets --run runs/a3d --protocol=30-view # tested as A3D's tables are
    vidshift budgets --run runs/a3d --protocol=30-view --crop=256 --sides=256 --widths=1
    vidshift budgets --run runs/a3d --gflops=10        # the best for a budget
    vidshift budgets --run runs/a3d --latency-ms=20 --save=DIR
    vidshift budgets --config kinetics_a3d_slow_8x8    # the cost of a training step

The first calibrates each sub-network's batch-norm statistics on training clips,
evaluates it, measures its latency here, and writes `RUN/budgets/`: `table.json` with
its Pareto list, `budgets.png`, and the statistics. Every video is decoded once for all
of them. --crop is the side of the clips. They are cut from frames of the run's short
side, or of that size where it is larger; a protocol of the whole short side (30-view)
scales the short side to it.

Rows of another call for the same checkpoint are kept. A row says its split, protocol,
average and calibration. Rows in which these differ are printed apart and never compared:
where the table has several, --protocol and --split say which a budget chooses from. With
a budget the command names the best network for it; --save writes that network as a
checkpoint of its own, for `vidshift eval --run=DIR`.

With --config instead of --run it prints the expected cost of a step of that training, in
multiplications: of the full network, of the sub-networks that are drawn with it, and
their sum. Nothing is trained or read.
"""

from vidshift.command_line.arguments import (
    add_checkpoint,
    add_config,
    add_data_dir,
    add_json,
    add_run,
)

PROGRAM = "vidshift.budgets"


def widths(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


# What argparse calls other text.
widths.__name__ = "numbers with commas between them"
whole_numbers.__name__ = "whole numbers with commas between them"


def add_arguments(parser):
    add = parser.add_argument
    add_run(parser)
    add_config(parser)
    add_json(parser)
    # The best is that of the full network alone.
    add_checkpoint(parser, default="last")
    add("--widths", type=widths, help="commas between them (default: the run's own)")
    add("--sides", type=whole_numbers, help="pixels (default: the run's own)")
    add("--frames", type=whole_numbers, help="default: the run's own")
    add(
        "--crop",
        type=int,
        help="side of the full clip, pixels (default: the run's own)",
    )
    add("--split", help="default: the run's validation split")
    add("--protocol", metavar="NAME", help="clips x crops (default: 1x1)")
    add(
        "--average",
        metavar="NAME",
        help="of views: logits or softmax; the protocol's if left out",
    )
    add("--batch-size", type=int, default=32, help="videos at a time (default: 32)")
    add(
        "--calibration-batches",
        type=int,
        help="the run's own; 0 shows what the full network's statistics would give, and "
        "writes nothing",
    )
    add_data_dir(parser)
    add("--no-latency", action="store_true", help="do not measure it")
    add("--gflops", type=float, help="the best network for so many a clip")
    add("--latency-ms", type=float, help="the best network for so long a clip")
    add("--save", metavar="DIR", help="write the network for the budget there")
