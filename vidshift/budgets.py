"""Costs and scores of an A3D run's sub-networks: `vidshift budgets`."""

import argparse
import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vidshift import checkpoints, config_file
from vidshift.adaptive import table
from vidshift.adaptive.calibrate import batch_statistics
from vidshift.adaptive.sampling import grid
from vidshift.adaptive.subnetwork import Narrow, SubNetwork, narrow
from vidshift.command_line.progress import counted, to_stderr, working
from vidshift.config import Config, check
from vidshift.cost import mutual_step
from vidshift.cost.mutual_step import count_model
from vidshift.data.device.on_device import prepare
from vidshift.data.loading.loader import train_batches
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View
from vidshift.description import model_arguments
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation import evaluate
from vidshift.evaluation.protocols import Protocol, chosen
from vidshift.fit import sizing
from vidshift.nets import create
from vidshift.nets.weights import Arrays
from vidshift.report.draw_budgets import draw_budgets
from vidshift.run import BUDGETS, Run
from vidshift.tasks import SINGLE_LABEL
from vidshift.training.mutual import full_network

LATENCY_RUNS = 10
DEFAULT_PROTOCOL = "1x1"
# Fields of `View` that are the training's, which the batches of calibration are of.
AS_TRAINED = ("scales", "area", "short_sides", "inverse_short_sides")


@dataclasses.dataclass(frozen=True, slots=True)
class FullNetwork:
    """Full network of a run, with the weights that its sub-networks share."""

    run: Run
    params: Arrays
    stats: Arrays

    @classmethod
    def read(cls, workdir: str | pathlib.Path, which: str) -> "FullNetwork":
        run = Run.open(workdir, which)
        for field in SubNetwork._fields:
            if run.description.model.get(field) is not None:
                raise ValueError(
                    f"{run.checkpoint} is a sub-network itself: it has {field}"
                )
        return cls(run, *run.weights())

    @property
    def model(self) -> dict:
        return dict(self.run.description.model)

    @property
    def config(self) -> Config:
        return self.run.description.config

    @property
    def folder(self) -> pathlib.Path:
        return self.run.folder / BUDGETS

    def split(self, name: str, options: argparse.Namespace) -> Split:
        return self.run.split(
            name, data_dir=options.data_dir, map_classes=options.map_classes
        )

    def views(self, crop: int | None, protocol: Protocol) -> tuple[View, View]:
        """Returns the views of calibration and of evaluation, of `crop` pixels a side.

        The short side is the run's own, or the crop where that is longer. A protocol that
        shows the whole short side scales it to the crop, as SlowFast's official test.
        """
        own = self.run.view
        crop = own.crop if crop is None else crop
        trained = {name: getattr(self.config.data, name) for name in AS_TRAINED}
        trained["short_sides"] = tuple(max(s, crop) for s in trained["short_sides"])
        shown = dataclasses.replace(own, resize=max(own.resize, crop), crop=crop)
        calibration = dataclasses.replace(shown, **trained)
        if protocol.full:
            shown = dataclasses.replace(shown, resize=crop)
        return calibration, shown

    def conditions(self, options: argparse.Namespace) -> table.Conditions:
        batches = options.calibration_batches
        if batches is None:
            batches = self.config.adaptive.calibration_batches
        protocol = options.protocol or DEFAULT_PROTOCOL
        return table.Conditions(
            split=options.split or self.config.data.validation_split,
            protocol=protocol,
            average=chosen(protocol, options.average).average,
            calibration_batches=batches,
            calibration_clips=options.batch_size if batches else 0,
        )


def subnetwork(full: FullNetwork, one: SubNetwork) -> Narrow:
    model = one.of(full.model)
    return Narrow.of(lambda: create(**model))


def calibrate(
    full: FullNetwork,
    subnetworks,
    view: View,
    conditions: table.Conditions,
    options,
    devices,
) -> list[Arrays]:
    """Computes each sub-network's statistics over the same training batches."""
    config, batches = full.config, conditions.calibration_batches
    if batches == 0:
        return [narrow(full.stats, subnetwork(full, one).stats) for one in subnetworks]
    data = full.split(config.data.train_split, options)
    if data.flip_labels is not None and config.data.flip_paired:
        # The labels are not used, and clips are flipped as in the training.
        data = dataclasses.replace(data, flip_labels=tuple(range(len(data.classes))))
    prepared = jax.jit(
        functools.partial(
            prepare, flip_labels=data.flip_labels, **full.run.description.normalisation
        )
    )
    programs = [jax.jit(batch_statistics(one.of(full.model))) for one in subnetworks]
    weights = mesh.replicate(devices, (full.params, full.stats))
    totals: list = [None] * len(subnetworks)
    with train_batches(
        data,
        view,
        batch_size=conditions.calibration_clips,
        seed=config.seed,
        flip=config.data.flip,
        flip_paired=config.data.flip_paired,
        workers=config.data.workers,
        worker_kind=config.data.worker_kind,
    ) as loader:
        to_stderr(f"calibrating {len(subnetworks)} networks over {batches} batches")
        for _ in counted(range(batches), "calibrated over", "batches"):
            clips, _ = prepared(mesh.shard_batch(devices, next(loader)))
            for i, program in enumerate(programs):
                sums = program(*weights, clips)
                if totals[i] is not None:
                    sums = jax.tree.map(jnp.add, totals[i], sums)
                totals[i] = sums
    return [jax.device_get(jax.tree.map(lambda a: a / batches, t)) for t in totals]


def score(
    full: FullNetwork,
    subnetworks,
    stats,
    view: View,
    conditions: table.Conditions,
    options,
    devices,
):
    """Scores a split: `logits` [N, sub-networks, classes]."""
    protocol = chosen(conditions.protocol, conditions.average)
    split = full.split(conditions.split, options)
    steps = [
        evaluate.make_eval_step(
            subnetwork(full, one),
            full.run.normalise,
            devices,
            protocol,
            view=view,
            data=split,
        )
        for one in subnetworks
    ]
    params = mesh.replicate(devices, full.params)
    stats = mesh.replicate(devices, stats)

    def all_of_them(_params, _stats, batch):
        results = [step(params, stat, batch) for step, stat in zip(steps, stats)]
        return jnp.stack([logits for logits, *_ in results], 1), *results[0][1:]

    to_stderr(
        f"evaluating {len(subnetworks)} networks on the {len(split.source):,} videos of "
        f"{conditions.split}"
    )
    return evaluate.score(
        split,
        all_of_them,
        ({}, {}),
        devices,
        view=view,
        protocol=protocol,
        batch_size=options.batch_size,
        say=to_stderr,
        workers=full.config.data.workers,
    )


def latency(full: FullNetwork, one: SubNetwork, stats: Arrays, crop: int) -> float:
    """Measures milliseconds of one clip, the median of `LATENCY_RUNS`."""
    network = subnetwork(full, one)
    params = jax.device_put(narrow(full.params, network.params))
    stats = jax.device_put(stats)
    shape = (1, full.model["num_frames"], crop, crop, full.model.get("in_channels", 3))
    clip = jnp.zeros(shape, full.model["dtype"])
    program = jax.jit(lambda params, stats, x: network.merge(params, stats)(x))
    jax.block_until_ready(program(params, stats, clip))
    seconds = []
    for _ in range(LATENCY_RUNS):
        began = time.perf_counter()
        jax.block_until_ready(program(params, stats, clip))
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def tabulate(full: FullNetwork, options) -> table.Table:
    """Calibrates, evaluates and times a grid of sub-networks, and writes the table."""
    task = full.run.description.task
    if task != SINGLE_LABEL:
        raise ValueError(
            f"the table is of one top-1, but the run's clips have several {task.several}"
        )
    keep_programs()
    conditions = full.conditions(options)
    path = full.folder / table.TABLE_FILE
    # An old table that cannot be read is refused before hours have passed.
    old = table.read(full.folder) if path.exists() else None
    protocol = chosen(conditions.protocol, conditions.average)
    calibration, view = full.views(options.crop, protocol)
    crop = view.crop
    subnetworks = grid(*_grids(full, options))
    for one in subnetworks:
        if one.side > crop:
            raise ValueError(
                f"side {one.side} is beyond the crop of {crop}: give --crop"
            )
    costs = [count_model(one.of(full.model), crop) for one in subnetworks]
    devices = mesh.make_mesh()
    mesh.check_batch("batch-size", options.batch_size, devices)
    stats = calibrate(full, subnetworks, calibration, conditions, options, devices)
    scores = score(full, subnetworks, stats, view, conditions, options, devices)
    rows = []
    for i, one in enumerate(counted(subnetworks, "timed", "networks")):
        figures = dataclasses.replace(scores, logits=scores.logits[:, i]).summary()
        rows.append(
            table.BudgetRow(
                one,
                crop,
                gflops=costs[i].macs / 1e9,
                parameters=costs[i].parameters,
                top1=figures["top1"],
                top5=figures["top5"],
                conditions=conditions,
                latency_ms=None
                if options.no_latency
                else latency(full, one, stats[i], crop),
            )
        )
    name = jax.devices()[0].device_kind
    made = table.Table(full.run.step, name, tuple(rows))
    if conditions.calibration_batches == 0:
        return made  # to be seen, not to be used
    full.folder.mkdir(exist_ok=True)
    for row, statistics_of_row in zip(rows, stats):
        table.write_statistics(full.folder, row, statistics_of_row)
    made = table.merge(made, old)
    table.write(full.folder, made)
    draw_budgets(full.folder / "budgets.png", made)
    return made


def _grids(full: FullNetwork, options) -> list[Sequence[float]]:
    """Widths, sides and frames: those asked for, or those that the run was trained at."""
    adaptive = full.config.adaptive
    names = ("widths", "sides", "frames")
    grids = [getattr(options, name) for name in names]
    missing = [name for name, grid in zip(names, grids) if not grid]
    if missing and adaptive.mode != "mutual":
        raise ValueError(
            f"{full.run.checkpoint} was not trained with sub-networks (adaptive.mode=mutual), "
            f"so which to evaluate must be said: --{', --'.join(missing)}"
        )
    return [grid or getattr(adaptive, name) for name, grid in zip(names, grids)]


def save(full: FullNetwork, row: table.BudgetRow, directory: str) -> None:
    """Writes a sub-network as a checkpoint: its slices, its statistics, its input."""
    conditions = row.conditions
    protocol = chosen(conditions.protocol, conditions.average)
    _, view = full.views(row.crop, protocol)
    description = full.run.description
    shown = dataclasses.replace(description.input, resize=view.resize, crop=view.crop)
    model = row.subnetwork.of(full.model)
    checkpoints.write_weights(
        directory,
        narrow(full.params, subnetwork(full, row.subnetwork).params),
        table.read_statistics(full.folder, row),
        dataclasses.replace(description, model=model, input=shown).to_json(),
    )


def expect(options: argparse.Namespace) -> int:
    """Prints the expected cost of a config's training step."""
    if options.run is not None:
        raise ValueError("give --run or --config, not both")
    config = config_file.read(options.config, options.fields)
    check(config)
    # Of a folder of videos the classes are not known, and the head is little of it.
    classes = sizing.known_classes().get(config.data.name, 2)
    model = model_arguments(config, num_classes=classes)
    with working(f"counting the sub-networks of {options.config}"):
        found = mutual_step.step_cost(config, model)
    full = full_network(model, config.data.crop)
    if options.json:
        print(json.dumps(found._asdict() | {"step": found.step, "ratio": found.ratio}))
    else:
        print("\n".join(mutual_step.lines(found, full)))
    return 0


def main(options: argparse.Namespace) -> int:
    for name in ("crop", "batch_size", "gflops", "latency_ms"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be above 0, got {value}")
    if (options.calibration_batches or 0) < 0:
        raise ValueError("--calibration-batches must be 0 or more")
    if options.config is not None:
        return expect(options)
    if options.run is None:
        raise ValueError("give --run, or --config for the cost of a training step")
    full = FullNetwork.read(options.run, options.checkpoint)
    if options.gflops is None and options.latency_ms is None:
        if options.save:
            raise ValueError("--save needs --gflops or --latency-ms")
        made = tabulate(full, options)
        for conditions, part in made.parts().items():
            print(f"{conditions}:\n\n{chr(10).join(table.lines(part.rows))}\n")
            best = "\n".join(table.lines(part.pareto()))
            print(f"the best for each budget:\n\n{best}\n")
        print(f"{made.device}, jax {jax.__version__}")
        return 0
    made = table.read(full.folder).under(
        protocol=options.protocol,
        split=options.split,
        average=options.average,
        calibration_batches=options.calibration_batches,
    )
    # The table's own, which may not be the last any more.
    full = FullNetwork.read(full.run.checkpoint.parent / made.checkpoint, "last")
    row = made.choose(gflops=options.gflops, latency_ms=options.latency_ms)
    if options.save:
        save(full, row, options.save)
    figures = dataclasses.asdict(row) | {"subnetwork": str(row.subnetwork)}
    del figures["conditions"]
    print(json.dumps(figures | row.conditions._asdict()))
    return 0
