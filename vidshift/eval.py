"""Scores runs on a split: `vidshift eval`."""

import argparse
import json
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import NamedTuple

import jax

from vidshift import predict
from vidshift.class_names import clean, difference
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import to_stderr
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation import ensemble, evaluate, score_files, submission
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.protocols import Protocol, chosen
from vidshift.layers.folded import folded
from vidshift.nets.weights import split as split_model
from vidshift.report import confusion as confusion_matrix
from vidshift.run import Run
from vidshift.tasks import SINGLE_LABEL


class Evaluated(NamedTuple):
    """The scores of one network, or of several together, and how to report them."""

    scores: Scores
    classes: tuple[str, ...]
    # Of the files that are written.
    stem: str
    # Of the JSON line.
    described: Mapping
    dataset: str | None = None
    reversed_labels: tuple[int, ...] | None = None


def main(options: argparse.Namespace) -> None:
    names = [*options.run, *options.scores] or ["runs/tiny"]
    if options.video is not None:
        if len(names) > 1 or options.scores:
            raise ValueError("--video takes a single --run")
        return predict.classify([options.video], names[0], options)
    protocol = chosen(options.protocol, options.average)
    if options.out:
        check_out("--out", options.out, folder=True)
    if options.submission:
        check_out("--submission", options.submission, folder=False)
    if options.weights is not None and len(options.weights) != len(names):
        raise ValueError(
            f"--weights must be {len(names)} numbers, one for each of "
            f"{', '.join(names)}, got {','.join(map(str, options.weights))}"
        )
    with interrupted_at_once():
        jax.devices()
    keep_programs()
    folders = names[: len(names) - len(options.scores)]
    runs = [Run.open(folder, options.checkpoint) for folder in folders]
    if options.submission:
        if options.map_classes:
            raise ValueError("--submission is of the data set's classes, unmapped")
        for run in runs:
            submission.check(run.description.config.data.name)
        if not runs:
            raise ValueError("--submission needs a --run, which knows the data set")
    members = [score(run, protocol, options) for run in runs]
    members += [from_file(pathlib.Path(path), options) for path in options.scores]
    result = members[0]
    if len(members) > 1:
        result = together(members, names, protocol, options)
    if runs:
        default = runs[0].folder / "evaluation"
    else:
        default = pathlib.Path(options.scores[0]).parent
    publish(result, pathlib.Path(options.out or default), options)


def score(run: Run, protocol: Protocol, options: argparse.Namespace) -> Evaluated:
    data = run.description.config.data
    split = run.split(
        options.split, data_dir=options.data_dir, map_classes=options.map_classes
    )
    devices = mesh.make_mesh()
    mesh.check_batch("batch_size", options.batch_size, devices)
    model = run.description.model
    to_stderr(
        f"building {model['backbone']} with {model['temporal']} of {run.checkpoint}"
    )
    skeleton, *weights = split_model(folded(run.network(soft=options.soft)))
    eval_step = evaluate.make_eval_step(
        skeleton, run.normalise, devices, protocol, view=run.view, data=split
    )
    videos = len(split.source)
    to_stderr(f"compiling, then evaluating {videos:,} videos of {protocol.views} views")
    scores = evaluate.score(
        split,
        eval_step,
        mesh.replicate(devices, tuple(weights)),
        devices,
        view=run.view,
        protocol=protocol,
        batch_size=options.batch_size,
        say=to_stderr,
        workers=data.workers,
        worker_kind=data.worker_kind,
    )
    hardening = {} if options.soft else run.hardening()
    return Evaluated(
        scores,
        split.classes,
        stem=f"{options.split}-{options.protocol}-step{run.step}",
        described={"checkpoint": str(run.checkpoint)} | hardening,
        dataset=data.name,
        reversed_labels=split.reversed_labels,
    )


def joint_stem(options: argparse.Namespace) -> str:
    """Returns another name than that of a single network's files, which are kept."""
    return f"{options.split}-{options.protocol}-ensemble"


def from_file(path: pathlib.Path, options: argparse.Namespace) -> Evaluated:
    """Reads the scores of an earlier evaluation."""
    scores, classes = score_files.read(path)
    return Evaluated(
        scores, classes, stem=joint_stem(options), described={"scores": str(path)}
    )


def together(
    members: list[Evaluated],
    names: list[str],
    protocol: Protocol,
    options: argparse.Namespace,
) -> Evaluated:
    """Combines several networks' scores into one network's."""
    first = members[0]
    members = [
        in_order_of(first.classes, member, names[0], name, options.map_classes)
        for member, name in zip(members, names, strict=True)
    ]
    scores = ensemble.combine(
        [member.scores for member in members],
        names=names,
        weights=options.weights,
        of=protocol.average,
    )
    lines = [
        {**member.described, "weight": weight}
        | member.scores.summary(member.reversed_labels)
        for member, weight in zip(
            members, options.weights or [1.0] * len(members), strict=True
        )
    ]
    return first._replace(
        scores=scores, stem=joint_stem(options), described={"members": lines}
    )


def in_order_of(
    classes: tuple[str, ...],
    member: Evaluated,
    first: str,
    name: str,
    map_classes: bool,
) -> Evaluated:
    """Returns a network's scores in the order of the first network's classes."""
    differs = difference(classes, member.classes, us=first, them=name)
    if not differs:
        return member
    message = f"{name} has other classes than {first}: {differs}"
    wanted, present = list(map(clean, classes)), list(map(clean, member.classes))
    once = len(set(wanted)) == len(wanted) == len(present)
    if not once or set(wanted) != set(present) or not member.scores.task.one_list:
        raise ValueError(message)
    if not map_classes:
        raise ValueError(f"{message}; --map-classes takes them by name")
    scores = member.scores.by_name(present, wanted)
    return member._replace(scores=scores, classes=classes)


def publish(result: Evaluated, out: pathlib.Path, options: argparse.Namespace) -> None:
    """Writes the scores and prints the figures."""
    scores, classes = result.scores, result.classes
    out.mkdir(parents=True, exist_ok=True)
    score_files.write(out / f"{result.stem}.npz", scores, classes)
    single = scores.task == SINGLE_LABEL and scores.labelled
    confusion = out / f"{result.stem}.png" if single else None
    if confusion:
        confusion_matrix.draw_confusion(confusion, scores, classes)
    by_class = scores.per_class() if scores.labelled else [math.nan] * len(classes)
    if scores.labelled:
        for name, share in zip(classes, by_class, strict=True):
            print(f"{100 * share:6.1f} %  {name}", file=sys.stderr)
    for name, reason in scores.failures:
        print(f"not scored: {name}: {reason}", file=sys.stderr)
    if options.submission:
        submission.write(
            pathlib.Path(options.submission), scores, classes, result.dataset
        )
    line = {
        **result.described,
        "dataset": result.dataset,
        "split": options.split,
        "protocol": options.protocol,
        **scores.summary(result.reversed_labels),
        "failed": len(scores.failures),
        "per_class": {
            name: None if math.isnan(share) else float(share)
            for name, share in zip(classes, by_class, strict=True)
        },
        "scores": str(out / f"{result.stem}.npz"),
        "confusion": confusion and str(confusion),
        "submission": options.submission,
    }
    print(json.dumps(line))
