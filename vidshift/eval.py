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
from vidshift.checkpoints import checksums
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import to_stderr
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation import (
    ensemble,
    evaluate,
    pairing,
    same_classes,
    score_files,
    submission,
)
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
    # None where a file of scores does not say it.
    origin: score_files.Origin | None
    # Of a run, for a submission.
    dataset: str | None = None
    reversed_labels: tuple[int, ...] | None = None


def main(options: argparse.Namespace) -> None:
    if options.video is None:
        print(json.dumps(evaluated(options)))
        return
    names = options.run or ["runs/tiny"]
    if len(names) > 1 or options.scores:
        raise ValueError("--video takes a single --run")
    predict.classify([options.video], names[0], options)


def evaluated(options: argparse.Namespace) -> dict:
    """Scores what the options of `vidshift eval` name, and writes the files.

    Returns:
      The JSON line.
    """
    names = [*options.run, *options.scores] or ["runs/tiny"]
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
    return publish(result, pathlib.Path(options.out or default), options)


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
    # Scores of another average or form have a file of their own.
    kind = [protocol.average] * (protocol != chosen(options.protocol))
    kind += ["soft"] * options.soft
    return Evaluated(
        scores,
        split.classes,
        stem="-".join([options.split, options.protocol, *kind, f"step{run.step}"]),
        described={"checkpoint": str(run.checkpoint)} | hardening,
        origin=origin_of(run, protocol, options),
        dataset=data.name,
        reversed_labels=split.reversed_labels,
    )


def origin_of(
    run: Run, protocol: Protocol, options: argparse.Namespace
) -> score_files.Origin:
    """Returns what the scores of a run are of, under the options of `vidshift eval`."""
    data = run.description.config.data
    return score_files.Origin(
        dataset=data.name,
        data_dir=str(
            pathlib.Path(options.data_dir or data.dir).expanduser().absolute()
        ),
        split=options.split,
        protocol=options.protocol,
        average=protocol.average,
        soft=options.soft,
        checkpoint=str(run.checkpoint),
        weights=checksums.digest(run.checkpoint, "weights"),
    )


def joint_origin(members: list[Evaluated]) -> score_files.Origin | None:
    """Joins the origins of an ensemble's members; None if one is not known."""
    origins = [member.origin for member in members]
    if None in origins:
        return None
    fields = {
        name: "+".join(dict.fromkeys(str(getattr(origin, name)) for origin in origins))
        for name in score_files.Origin._fields
    }
    soft = any(origin.soft for origin in origins)
    return score_files.Origin(**fields | {"soft": soft, "weights": ""})


def joint_stem(origin: score_files.Origin | None, options: argparse.Namespace) -> str:
    """Returns another name than that of a single network's files, which are kept."""
    source = origin or options
    return f"{source.split}-{source.protocol}-ensemble"


def from_file(path: pathlib.Path, options: argparse.Namespace) -> Evaluated:
    """Reads the scores of an earlier evaluation."""
    scores, classes, origin = score_files.read(path)
    return Evaluated(
        scores,
        classes,
        stem=joint_stem(origin, options),
        described={"scores": str(path)},
        origin=origin,
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
        member._replace(
            scores=same_classes.in_order_of(
                first.classes,
                member.scores,
                member.classes,
                us=names[0],
                them=name,
                map_classes=options.map_classes,
            )
        )
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
    origin = joint_origin(members)
    return first._replace(
        scores=scores,
        stem=joint_stem(origin, options),
        described={"members": lines},
        origin=origin,
    )


def publish(result: Evaluated, out: pathlib.Path, options: argparse.Namespace) -> dict:
    """Writes the scores, prints each class's figure, and returns the JSON line."""
    scores, classes, origin = result.scores, result.classes, result.origin
    out.mkdir(parents=True, exist_ok=True)
    score_files.write(out / f"{result.stem}.npz", scores, classes, origin)
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
    return {
        **result.described,
        # None where a file of scores does not say it.
        **{name: getattr(origin, name, None) for name in pairing.SAME},
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
