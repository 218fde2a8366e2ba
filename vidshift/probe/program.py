"""Networks' features on a labelled task, as a table: `vidshift probe`."""

import argparse
import contextlib
import dataclasses
import functools
import json
import pathlib
import sys
from typing import NamedTuple

import jax
import numpy as np

from vidshift import config_file
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import to_stderr, working
from vidshift.config import Config
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.split import Split
from vidshift.devices import peers
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation.significance import wilson
from vidshift.probe.clip_features import ClipFeatures, Extractor
from vidshift.probe.linear import probe
from vidshift.probe.nearest import nearest
from vidshift.probe.subjects import Subject
from vidshift.run import Run
from vidshift.tasks import SINGLE_LABEL
from vidshift.train import train
from vidshift.training.log import read_metrics

HEADING = "| run | network | method | test top-1 | 95 % interval | clips | settings |"


class Row(NamedTuple):
    """An accuracy of a network by a method."""

    run: str
    network: str
    method: str
    right: int
    clips: int
    settings: dict

    def figures(self) -> dict:
        low, high = wilson(self.right, self.clips)
        accuracy = self.right / self.clips
        return self._asdict() | {"accuracy": accuracy, "low": low, "high": high}

    def cells(self) -> list[str]:
        figures = self.figures()
        return [
            self.run,
            self.network,
            self.method,
            f"{100 * figures['accuracy']:.1f} %",
            f"{100 * figures['low']:.1f} to {100 * figures['high']:.1f}",
            f"{self.clips:,}",
            ", ".join(f"{name} {value:.4g}" for name, value in self.settings.items()),
        ]


def main(options: argparse.Namespace) -> int:
    if options.out:
        check_out("--out", options.out, folder=True)
    out = pathlib.Path(options.out).expanduser() if options.out else None
    with interrupted_at_once():
        jax.devices()
    keep_programs()
    config = config_of(options)
    splits = open_splits(config)
    subjects = [
        Subject.of(name, config, splits["train"], options.checkpoint)
        for name in options.runs
    ]
    folders = [subject.folder(out) for subject in subjects]
    rows = []
    for subject, folder in zip(subjects, folders, strict=True):
        extract = Extractor(subject, config.data, folder, batch_size=options.batch_size)
        found = {name: extract(name, split) for name, split in splits.items()}
        rows += probed(subject, found, len(splits["train"].classes), options.k)
        if options.fine_tune:
            rows.append(fine_tuned(subject, config, folder, options.epochs))
    data = {"data": config.data.name, "test_split": config.data.test_split}
    if options.json:
        print(json.dumps(data | {"rows": [row.figures() for row in rows]}))
        return 0
    print(HEADING, "|" + "---|" * (HEADING.count("|") - 1), sep="\n")
    for row in rows:
        print(f"| {' | '.join(row.cells())} |")
    return 0


def config_of(options: argparse.Namespace) -> Config:
    """Returns the config whose data are probed on.

    Raises:
      ValueError: no config is given and the first RUN is none.
    """
    if options.config is not None:
        config = config_file.read(options.config, options.fields)
    elif options.fields:
        raise ValueError(f"{options.fields[0]} needs --config")
    else:
        config = Run.open(options.runs[0], options.checkpoint).description.config
    data = config.data
    if options.data is not None and options.data != data.name:
        data = dataclasses.replace(data, name=options.data, options=None)
    if options.data_dir is not None:
        data = dataclasses.replace(data, dir=options.data_dir)
    return dataclasses.replace(config, data=data)


def open_splits(config: Config) -> dict[str, Split]:
    """Opens the splits by what they are for: train, validation and test.

    Raises:
      ValueError: a split is missing, clips have several labels, or there is one class.
    """
    data = config.data
    splits = {}
    for use in ("train", "validation", "test"):
        name = getattr(data, f"{use}_split")
        if not name:
            raise ValueError(
                f"a probe needs a {use} split: config.data.{use}_split is ''"
            )
        splits[use] = open_split(
            data.name, name, data_dir=data.dir, options=data.options
        )
    train = splits["train"]
    if train.task != SINGLE_LABEL:
        raise ValueError(f"{data.name} has several labels a clip, a probe takes one")
    if len(train.classes) < 2:
        raise ValueError(
            f"a probe needs two classes at least, {data.name} has {train.classes}"
        )
    return splits


def probed(
    subject: Subject, found: dict[str, ClipFeatures], classes: int, k: int
) -> list[Row]:
    """Returns the rows of a network's features.

    Raises:
      ValueError: a clip has no label, or the training clips have one class alone.
    """
    for name, (_, labels) in found.items():
        if (labels < 0).any():
            raise ValueError(f"the clips of split {name} have no labels")
    train, test = found["train"], found["test"]
    if len(np.unique(train.labels)) < 2:
        raise ValueError("the training clips are all of one class: nothing to tell")
    row = functools.partial(Row, subject.name, subject.description.name)
    right = lambda predictions: int((predictions == test.labels).sum())
    k = min(k, len(train.labels))
    near = nearest(*train, test.features, k=k)
    with working(f"{subject.name}: fitting the linear probe"):
        linear = probe(train, found["validation"], test.features, classes=classes)
    clips = len(test.labels)
    settings = {"L2": linear.strength, "validation": linear.validation_accuracy}
    return [
        row("nearest neighbours", right(near), clips, {"k": k}),
        row("linear probe", right(linear.predictions), clips, settings),
    ]


def fine_tuned(
    subject: Subject, config: Config, folder: pathlib.Path, epochs: float
) -> Row:
    """Trains a network as `vidshift train` does, and returns its test's row."""
    workdir = folder / f"fine-tuned-{config.data.name}"
    to_stderr(f"{subject.name}: training in {workdir}")
    tuning = subject.fine_tuning(config, epochs)
    # What it says is no part of the table.
    with (
        contextlib.redirect_stdout(sys.stderr),
        contextlib.ExitStack() as cleanup,
        peers.ending_together(),
    ):
        if code := train(tuning, str(workdir), cleanup):
            raise ValueError(f"training in {workdir} was stopped (exit code {code})")
    tests = [line for line in read_metrics(workdir) if line["kind"] == "test"]
    figures = tests[-1]
    clips = figures["clips"]
    right = round(figures["top1"] * clips)
    network = subject.description.name
    method = "fine-tuned" if subject.run is not None else "trained"
    return Row(subject.name, network, method, right, clips, {"epochs": epochs})
