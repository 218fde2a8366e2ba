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

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import functools
import json
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import NamedTuple

import jax
from absl import flags

from vidshift import runs
from vidshift.class_names import clean, difference
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.data.device.on_device import normalise
from vidshift.data.loading.loader import eval_batches
from vidshift.devices import mesh
from vidshift.evaluation import ensemble, score_files, submission
from vidshift.evaluation.evaluate import Scores, average, evaluate, make_eval_step
from vidshift.evaluation.protocols import AVERAGES, PROTOCOLS, Protocol
from vidshift.nets.weights import split as split_model
from vidshift.nets.zoo import pick
from vidshift.report import confusion as report
from vidshift.run_data import open_run_split
from vidshift.training import checkpoints, command
from vidshift.training.losses import of_tasks

WORKDIR = flags.DEFINE_multi_string(
    "workdir",
    [],
    "A run, or one checkpoint; given several times, they are scored together. "
    "runs/tiny if neither it nor --scores is given.",
)
SCORES = flags.DEFINE_multi_string(
    "scores", [], "Scores of an earlier evaluation (.npz), as if it were a --workdir."
)
WEIGHTS = flags.DEFINE_list(
    "weights",
    None,
    "Of each --workdir, then each --scores: 1,1.5; all alike if left out.",
)
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "best", ["best", "last"], "Which checkpoint of the run."
)
PROTOCOL = flags.DEFINE_string(
    "protocol", "1x1", f"Clips x crops of a video: {', '.join(PROTOCOLS)}."
)
AVERAGE = flags.DEFINE_enum(
    "average", None, AVERAGES, "Of views and networks; the protocol's if left out."
)
SPLIT = flags.DEFINE_string("split", "test", "The split that is scored.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the dataset lies, if moved.")
MAP_CLASSES = flags.DEFINE_bool(
    "map_classes",
    False,
    "Take classes by name where a run and the data order them apart.",
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Videos at a time.", lower_bound=1)
OUT = flags.DEFINE_string(
    "out", None, "Folder for scores and confusion matrix; evaluation/ of the run."
)
SUBMISSION = flags.DEFINE_string(
    "submission", None, "File for answers, in the format of the data set's server."
)
SOFT = flags.DEFINE_bool(
    "soft", False, "Leave a RubiksNet's attention as it was trained: do not harden it."
)
VIDEO = flags.DEFINE_string("video", None, "A video file to classify instead.")
TOP = flags.DEFINE_integer("top", 5, "Classes to print with --video.", lower_bound=1)


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
    protocol = chosen_protocol()
    if OUT.value:
        check_out("--out", OUT.value, folder=True)
    if SUBMISSION.value:
        check_out("--submission", SUBMISSION.value, folder=False)
    with interrupted_at_once():
        jax.devices()
    workdirs = WORKDIR.value or ([] if SCORES.value else ["runs/tiny"])
    found = [checkpoints.find(workdir, CHECKPOINT.value) for workdir in workdirs]
    names = [*workdirs, *SCORES.value]
    weights = chosen_weights(names)
    if VIDEO.value is not None:
        if len(names) > 1 or SCORES.value:
            raise ValueError("--video takes a single --workdir")
        return classify(VIDEO.value, found[0], protocol)
    if SUBMISSION.value:
        if MAP_CLASSES.value:
            raise ValueError("--submission is of the data set's classes, unmapped")
        for checkpoint in found:
            description = checkpoints.read_description(checkpoint)
            submission.check(description["config"]["data"]["name"])
        if not found:
            raise ValueError("--submission needs a --workdir, which knows the data set")
    members = [from_file(pathlib.Path(path)) for path in SCORES.value]
    members = [score(checkpoint, protocol) for checkpoint in found] + members
    whole = members[0]
    if len(members) > 1:
        whole = together(members, names, weights, protocol)
    if found:
        default = found[0].parents[1] / "evaluation"
    else:
        default = pathlib.Path(SCORES.value[0]).parent
    publish(whole, pathlib.Path(OUT.value or default))


def chosen_protocol() -> Protocol:
    protocol = pick("protocol", PROTOCOL.value, PROTOCOLS)
    return protocol.averaging(AVERAGE.value) if AVERAGE.value else protocol


def chosen_weights(names: list[str]) -> list[float] | None:
    if WEIGHTS.value is None:
        return None
    try:
        weights = [float(weight) for weight in WEIGHTS.value]
    except ValueError:
        weights = []
    if len(weights) != len(names):
        raise ValueError(
            f"--weights must be {len(names)} numbers, one for each of "
            f"{', '.join(names)}, got {','.join(WEIGHTS.value)}"
        )
    return weights


def classify(video: str, checkpoint: pathlib.Path, protocol: Protocol) -> None:
    """Prints the most probable classes of one video, softmax of the views' average.

    Of a run whose clips have several labels, sigmoid of the largest logits of a view.
    """
    if protocol.crops == 10:
        raise ValueError(
            f"--protocol={PROTOCOL.value} has mirror images: not for --video"
        )
    views = runs.read_clip(
        video,
        checkpoint,
        clips=protocol.clips,
        crops=protocol.crops,
        full=protocol.full,
    )
    logits = jax.jit(runs.load(checkpoint, soft=SOFT.value))(views)
    names = runs.class_names(checkpoint)
    if runs.is_multi_label(checkpoint):
        parts = [jax.nn.sigmoid(logits.max(0))]
    else:
        tasks = runs.tasks(checkpoint) or {"": len(names)}
        mean = average(logits, protocol.average, tasks)
        parts = [jax.nn.softmax(part) for part in of_tasks(mean, tasks)]
    first = 0
    for shares in parts:
        values, indices = jax.lax.top_k(shares, min(TOP.value, len(shares)))
        for share, index in zip(values.tolist(), indices.tolist(), strict=True):
            print(f"{100 * share:6.2f} %  {names[first + index]}")
        first += len(shares)


def score(checkpoint: pathlib.Path, protocol: Protocol) -> Evaluated:
    description = checkpoints.read_description(checkpoint)
    stored = description["config"]["data"]
    part = open_run_split(
        checkpoint,
        description,
        SPLIT.value,
        data_dir=DATA_DIR.value,
        map_classes=MAP_CLASSES.value,
        dash="_",
    )
    devices = mesh.make_mesh()
    mesh.check_batch("batch_size", BATCH_SIZE.value, devices)
    model = description["model"]
    say(f"building {model['backbone']} with {model['temporal']} of {checkpoint}")
    skeleton, params, stats = split_model(runs.load(checkpoint, soft=SOFT.value))
    hardening = {}
    if not SOFT.value:
        hardening = runs.hardening(model, *checkpoints.read_weights(checkpoint))
    view = protocol.view(runs.eval_view(description["input"]))
    eval_step = make_eval_step(
        skeleton,
        functools.partial(normalise, **runs.normalisation(description)),
        devices,
        protocol,
        crop=view.crop,
        modality=part.modality,
        flip_labels=part.flip_labels,
        tasks=part.tasks,
    )
    videos = len(part.source)
    say(f"compiling, then evaluating {videos:,} videos of {protocol.views} views")
    with eval_batches(
        part,
        view,
        clips=protocol.clips,
        crops=protocol.crops,
        batch_size=mesh.fitting_batch(BATCH_SIZE.value, videos, devices),
        workers=stored["workers"],
        worker_kind=stored.get("worker_kind", "thread"),
    ) as batches:
        scores = evaluate(
            eval_step,
            *mesh.replicate(devices, (params, stats)),
            batches,
            devices,
            tasks=part.tasks,
            videos=videos,
            say=say,
        )
    return Evaluated(
        scores,
        part.classes,
        stem=f"{SPLIT.value}-{PROTOCOL.value}-step{checkpoint.name}",
        described={"checkpoint": str(checkpoint)} | hardening,
        dataset=stored["name"],
        reversed_labels=part.reversed_labels,
    )


def say(line: str) -> None:
    """A line for the person who waits; figures go to stdout."""
    print(line, file=sys.stderr, flush=True)


def joint_stem() -> str:
    """Not the name of a single network's files, which are kept."""
    return f"{SPLIT.value}-{PROTOCOL.value}-ensemble"


def from_file(path: pathlib.Path) -> Evaluated:
    """The scores of an earlier evaluation."""
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
    """Several networks as one."""
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
        scores=scores,
        stem=joint_stem(),
        described={"members": lines},
    )


def in_order_of(
    classes: tuple[str, ...], member: Evaluated, first: str, name: str
) -> Evaluated:
    """A network's scores in the order of the first network's classes."""
    differs = difference(classes, member.classes, us=first, them=name)
    if not differs:
        return member
    message = f"{name} has other classes than {first}: {differs}"
    here, there = list(map(clean, classes)), list(map(clean, member.classes))
    once = len(set(here)) == len(here) == len(there)
    if not once or set(here) != set(there) or member.scores.tasks:
        raise ValueError(message)
    if not MAP_CLASSES.value:
        raise ValueError(f"{message}; --map_classes takes them by name")
    scores = member.scores.by_name(there, here)
    return member._replace(scores=scores, classes=classes)


def publish(whole: Evaluated, out: pathlib.Path) -> None:
    """Writes the scores and prints the figures."""
    scores, classes = whole.scores, whole.classes
    out.mkdir(parents=True, exist_ok=True)
    score_files.write(out / f"{whole.stem}.npz", scores, classes)
    single = scores.labels.ndim == 1 and scores.labelled
    confusion = out / f"{whole.stem}.png" if single else None
    if confusion:
        report.draw_confusion(confusion, scores, classes)
    by_class = scores.per_class() if scores.labelled else [math.nan] * len(classes)
    if scores.labelled:
        for name, share in zip(classes, by_class, strict=True):
            print(f"{100 * share:6.1f} %  {name}", file=sys.stderr)
    for name, reason in scores.failures:
        print(f"not scored: {name}: {reason}", file=sys.stderr)
    if SUBMISSION.value:
        submission.write(pathlib.Path(SUBMISSION.value), scores, classes, whole.dataset)
    line = {
        **whole.described,
        "dataset": whole.dataset,
        "split": SPLIT.value,
        "protocol": PROTOCOL.value,
        **scores.summary(whole.reversed_labels),
        "failed": len(scores.failures),
        "per_class": {
            name: None if math.isnan(share) else float(share)
            for name, share in zip(classes, by_class, strict=True)
        },
        "scores": str(out / f"{whole.stem}.npz"),
        "confusion": confusion and str(confusion),
        "submission": SUBMISSION.value,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    command.run(main)
