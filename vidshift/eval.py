"""Evaluates a run: `python eval.py --workdir=DIR [--protocol=NAME] [--video=FILE]`.

Scores a split under a named protocol and prints one JSON line; the scores of every
clip and the confusion matrix are written beside the run. Where a clip has several
labels the figure is mAP, where it has several tasks each has its own, and there is no
confusion matrix.

Several `--workdir`, and `--scores`, files of earlier evaluations, are scored together:
the weighted mean of their scores (`--weights=1,1.5`). `--submission=FILE` writes answers
for the server of a test without public labels. With `--video` a video file is
classified instead.
"""

import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import NamedTuple

import jax
from absl import flags

from vidshift.class_names import clean, difference
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import to_stderr
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation import ensemble, evaluate, score_files, submission
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.protocols import PROTOCOLS, Protocol
from vidshift.nets.weights import split as split_model
from vidshift.nets.zoo import pick
from vidshift.report import confusion as confusion_matrix
from vidshift.run import Run
from vidshift.tasks import AVERAGES, SINGLE_LABEL

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_multi_string(
        "workdir",
        [],
        "A run, or one checkpoint; given several times, they are scored together. "
        "runs/tiny if neither it nor --scores is given.",
    )
    flags.DEFINE_multi_string(
        "scores",
        [],
        "Scores of an earlier evaluation (.npz), as if it were a --workdir.",
    )
    flags.DEFINE_list(
        "weights",
        None,
        "Of each --workdir, then each --scores: 1,1.5; all alike if left out.",
    )
    flags.DEFINE_enum(
        "checkpoint", "best", ["best", "last"], "Which checkpoint of the run."
    )
    flags.DEFINE_string(
        "protocol", "1x1", f"Clips x crops of a video: {', '.join(PROTOCOLS)}."
    )
    flags.DEFINE_enum(
        "average", None, AVERAGES, "Of views and networks; the protocol's if left out."
    )
    flags.DEFINE_string("split", "test", "The split that is scored.")
    flags.DEFINE_string("data_dir", None, "Where the dataset lies, if moved.")
    flags.DEFINE_bool(
        "map_classes",
        False,
        "Take classes by name where a run and the data order them apart.",
    )
    flags.DEFINE_integer("batch_size", 64, "Videos at a time.", lower_bound=1)
    flags.DEFINE_string(
        "out", None, "Folder for scores and confusion matrix; evaluation/ of the run."
    )
    flags.DEFINE_string(
        "submission", None, "File for answers, in the format of the data set's server."
    )
    flags.DEFINE_bool(
        "soft",
        False,
        "Leave a RubiksNet's attention as it was trained: do not harden it.",
    )
    flags.DEFINE_string("video", None, "A video file to classify instead.")
    flags.DEFINE_integer("top", 5, "Classes to print with --video.", lower_bound=1)


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


def main() -> None:
    protocol = pick("protocol", FLAGS.protocol, PROTOCOLS)
    if FLAGS.average:
        protocol = dataclasses.replace(protocol, average=FLAGS.average)
    if FLAGS.out:
        check_out("--out", FLAGS.out, folder=True)
    if FLAGS.submission:
        check_out("--submission", FLAGS.submission, folder=False)
    with interrupted_at_once():
        jax.devices()
    keep_programs()
    workdirs = FLAGS.workdir or ([] if FLAGS.scores else ["runs/tiny"])
    runs = [Run.open(workdir, FLAGS.checkpoint) for workdir in workdirs]
    names = [*workdirs, *FLAGS.scores]
    weights = chosen_weights(names)
    if FLAGS.video is not None:
        if len(names) > 1 or FLAGS.scores:
            raise ValueError("--video takes a single --workdir")
        return classify(FLAGS.video, runs[0], protocol)
    if FLAGS.submission:
        if FLAGS.map_classes:
            raise ValueError("--submission is of the data set's classes, unmapped")
        for run in runs:
            submission.check(run.description.config.data.name)
        if not runs:
            raise ValueError("--submission needs a --workdir, which knows the data set")
    members = [from_file(pathlib.Path(path)) for path in FLAGS.scores]
    members = [score(run, protocol) for run in runs] + members
    result = members[0]
    if len(members) > 1:
        result = together(members, names, weights, protocol)
    if runs:
        default = runs[0].folder / "evaluation"
    else:
        default = pathlib.Path(FLAGS.scores[0]).parent
    publish(result, pathlib.Path(FLAGS.out or default))


def chosen_weights(names: list[str]) -> list[float] | None:
    if FLAGS.weights is None:
        return None
    try:
        weights = [float(weight) for weight in FLAGS.weights]
    except ValueError:
        weights = []
    if len(weights) != len(names):
        raise ValueError(
            f"--weights must be {len(names)} numbers, one for each of "
            f"{', '.join(names)}, got {','.join(FLAGS.weights)}"
        )
    return weights


def classify(video: str, run: Run, protocol: Protocol) -> None:
    """Prints the most probable classes of one video, over the average of its views."""
    if protocol.crops == 10:
        raise ValueError(
            f"--protocol={FLAGS.protocol} has mirror images: not for --video"
        )
    views = run.read_clip(
        video, clips=protocol.clips, crops=protocol.crops, full=protocol.full
    )
    logits = jax.jit(run.network(soft=FLAGS.soft))(views)
    task = run.description.task
    mean = jax.device_get(task.average(logits[:, None], protocol.average))[0]
    for guess in task.top(mean, run.classes, FLAGS.top):
        print(f"{100 * guess.probability:6.2f} %  {guess.name}")


def score(run: Run, protocol: Protocol) -> Evaluated:
    data = run.description.config.data
    split = run.split(
        FLAGS.split, data_dir=FLAGS.data_dir, map_classes=FLAGS.map_classes
    )
    devices = mesh.make_mesh()
    mesh.check_batch("batch_size", FLAGS.batch_size, devices)
    model = run.description.model
    to_stderr(
        f"building {model['backbone']} with {model['temporal']} of {run.checkpoint}"
    )
    skeleton, *weights = split_model(run.network(soft=FLAGS.soft))
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
        batch_size=FLAGS.batch_size,
        say=to_stderr,
        workers=data.workers,
        worker_kind=data.worker_kind,
    )
    hardening = {} if FLAGS.soft else run.hardening()
    return Evaluated(
        scores,
        split.classes,
        stem=f"{FLAGS.split}-{FLAGS.protocol}-step{run.step}",
        described={"checkpoint": str(run.checkpoint)} | hardening,
        dataset=data.name,
        reversed_labels=split.reversed_labels,
    )


def joint_stem() -> str:
    """Returns another name than that of a single network's files, which are kept."""
    return f"{FLAGS.split}-{FLAGS.protocol}-ensemble"


def from_file(path: pathlib.Path) -> Evaluated:
    """Reads the scores of an earlier evaluation."""
    scores, classes = score_files.read(path)
    return Evaluated(
        scores, classes, stem=joint_stem(), described={"scores": str(path)}
    )


def together(
    members: list[Evaluated],
    names: list[str],
    weights: list[float] | None,
    protocol: Protocol,
) -> Evaluated:
    """Combines several networks' scores into one network's."""
    first = members[0]
    members = [
        in_order_of(first.classes, member, names[0], name)
        for member, name in zip(members, names, strict=True)
    ]
    scores = ensemble.combine(
        [member.scores for member in members],
        names=names,
        weights=weights,
        of=protocol.average,
    )
    lines = [
        {**member.described, "weight": weight}
        | member.scores.summary(member.reversed_labels)
        for member, weight in zip(members, weights or [1.0] * len(members), strict=True)
    ]
    return first._replace(
        scores=scores, stem=joint_stem(), described={"members": lines}
    )


def in_order_of(
    classes: tuple[str, ...], member: Evaluated, first: str, name: str
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
    if not FLAGS.map_classes:
        raise ValueError(f"{message}; --map-classes takes them by name")
    scores = member.scores.by_name(present, wanted)
    return member._replace(scores=scores, classes=classes)


def publish(result: Evaluated, out: pathlib.Path) -> None:
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
    if FLAGS.submission:
        submission.write(
            pathlib.Path(FLAGS.submission), scores, classes, result.dataset
        )
    line = {
        **result.described,
        "dataset": result.dataset,
        "split": FLAGS.split,
        "protocol": FLAGS.protocol,
        **scores.summary(result.reversed_labels),
        "failed": len(scores.failures),
        "per_class": {
            name: None if math.isnan(share) else float(share)
            for name, share in zip(classes, by_class, strict=True)
        },
        "scores": str(out / f"{result.stem}.npz"),
        "confusion": confusion and str(confusion),
        "submission": FLAGS.submission,
    }
    print(json.dumps(line))
