"""Trains a table's rows one after the other, and prints it."""

import argparse
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift import config_file
from vidshift.command_line.progress import to_stderr, working
from vidshift.config import check
from vidshift.description import model_arguments
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.evaluation.significance import bootstrap
from vidshift.evaluation.spread import spread
from vidshift.nets import create
from vidshift.nets.zoo import pick
from vidshift.schemes import trained
from vidshift.schemes.tables import TABLES, Row, Table
from vidshift.schemes.trained import Outcome, Training
from vidshift.speed.step_programs import lower
from vidshift.training.data import open_data

HEADING = ["scheme", "test top-1", "95 % interval", "right pair", "minutes"]
HARDENED = ["moved channels", "undecided", "other answers when hardened"]
# Steps that are timed for the estimate, after one that is not.
TIMED_STEPS = 3


def main(options: argparse.Namespace) -> int:
    table = pick("table", options.table, TABLES)
    names = options.rows.split(",") if options.rows else list(table.rows)
    rows = {name: pick("row", name, table.rows) for name in names}
    trainings = _trainings(table, rows, options)
    todo = [one for one in trainings if not one.is_done]
    if todo:
        _say_hours(todo, len(trainings))
    began = time.perf_counter()
    for number, one in enumerate(todo, start=1):
        try:
            trained.train(one)
        except (subprocess.CalledProcessError, ValueError) as error:
            raise ValueError(f"{one.row}: {error}") from error
        hours = (time.perf_counter() - began) / number * (len(todo) - number) / 3600
        to_stderr(
            f"schemes: {number} of {len(todo)} trained, about {hours:.1f} h to go"
        )
    print("\n".join(["", *_lines(table, rows, trainings)]))
    device = jax.devices()[0].device_kind
    print(f"\n{device}, jax {jax.__version__}, Python {sys.version.split()[0]}")
    return 0


def _trainings(
    table: Table, rows: dict[str, Row], options: argparse.Namespace
) -> list[Training]:
    """Returns every row's training with every seed, in the order of the table."""
    name = options.config or table.config
    seeds = options.seeds or table.seeds
    if any(row.imagenet for row in rows.values()) and options.imagenet is None:
        raise ValueError(
            "rows from ImageNet need --imagenet=RUN, such as `vidshift data fetch-samples` "
            "and `vidshift convert` make; --rows chooses others"
        )
    trainings = []
    for seed in seeds:
        for row, (flags, imagenet) in rows.items():
            workdir = pathlib.Path(options.out) / row.replace(" ", "_")
            if len(seeds) > 1:
                workdir /= f"seed_{seed}"
                flags = (*flags, f"--config.seed={seed}")
            if imagenet:
                flags = (*flags, f"--config.init={options.imagenet}")
            every = (f"--config={name}", *flags, *options.fields)
            trainings.append(Training(row, workdir, every))
    return trainings


def _say_hours(todo: Sequence[Training], total: int) -> None:
    """Says how long it will take: by a step of the first, and the others' FLOPs."""
    seconds_per_flop = None
    seconds = 0.0
    with working("timing a training step"):
        for one in todo:
            name, *fields = one.flags
            config = config_file.read(name.removeprefix("--config="), fields)
            check(config)
            crops = pick("protocol", config.protocol, PROTOCOLS).crops
            data = open_data(config, crops=crops, say=lambda line: None)
            network = model_arguments(
                config,
                num_classes=len(data.train.classes),
                channels=data.train.channels,
            )
            model = nnx.eval_shape(lambda network=network: create(**network))
            view = config.data.view()
            shape = (config.batch_size, view.num_frames, view.crop, view.crop)
            clips = jnp.zeros((*shape, data.train.channels))
            program = lower(model, "train", clips)
            if seconds_per_flop is None:
                seconds_per_flop = _step_seconds(program) / program.flops
            seconds += data.steps * seconds_per_flop * program.flops
    to_stderr(
        f"schemes: {len(todo)} trainings of {total} are to be done, about "
        f"{seconds / 3600:.1f} h by a step of the first and the others' FLOPs; the same "
        "command goes on after an interruption"
    )


def _step_seconds(program) -> float:
    step, _ = program.compile()
    jax.block_until_ready(step())
    began = time.perf_counter()
    for _ in range(TIMED_STEPS):
        jax.block_until_ready(step())
    return (time.perf_counter() - began) / TIMED_STEPS


def _lines(
    table: Table, rows: dict[str, Row], trainings: Sequence[Training]
) -> list[str]:
    """Returns the Markdown table."""
    heading = HEADING + HARDENED * table.hardened
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading)]
    for name, row in rows.items():
        of_row = [one for one in trainings if one.row == name]
        outcomes = [trained.outcome(one) for one in of_row]
        cells = [name, *_cells(outcomes, table.group_of)]
        if table.hardened and "--config.model.variant=attention" in row.flags:
            cells += trained.hardened(of_row[0].workdir)
        cells += ["no attention"] * (len(heading) - len(cells))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cells(outcomes: Sequence[Outcome], group_of: Callable[[str], str]) -> list[str]:
    """Returns the means over seeds, and the accuracy's interval over groups of clips."""
    right = np.mean([_right(one) for one in outcomes], axis=0)
    groups = [group_of(id) for id in sorted(outcomes[0].scores.ids)]
    low, high = bootstrap(right, groups)
    return [
        _mean([one.figures["top1"] for one in outcomes]),
        f"{100 * low:.1f} to {100 * high:.1f}",
        _mean([one.figures["right_pair"] for one in outcomes]),
        f"{sum(one.minutes for one in outcomes):.1f}",
    ]


def _mean(figures: Sequence[float]) -> str:
    """Returns the mean, and over several seeds the standard deviation."""
    found = spread(figures)
    spread_of_seeds = (
        "" if found.deviation is None else f" ± {100 * found.deviation:.1f}"
    )
    return f"{100 * found.mean:.1f}{spread_of_seeds} %"


def _right(one: Outcome) -> np.ndarray:
    """Returns for each clip, by its id, whether it is right."""
    scores = one.scores
    right = scores.logits.argmax(-1) == scores.labels
    return right[np.argsort(scores.ids)].astype(float)
