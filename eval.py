"""Evaluates a run: `python eval.py --workdir=DIR [--protocol=NAME] [--video=FILE]`.

Scores a split under a named protocol and prints one JSON line; the scores of every
clip and the confusion matrix are written beside the run. Where a clip has several
labels the figure is mAP, where it has several tasks each has its own, and there is no
confusion matrix. With `--video` it classifies
a video file instead.
"""

import functools
import json
import math
import pathlib
import sys

import jax
from absl import flags

from vidshift import runs
from vidshift.data.datasets import open_split
from vidshift.data.loader import eval_batches
from vidshift.data.on_device import normalise
from vidshift.evaluation import report
from vidshift.evaluation.evaluate import average, evaluate, make_eval_step
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.nets.weights import split as split_model
from vidshift.nets.zoo import pick
from vidshift.training import checkpoints, command, mesh
from vidshift.training.losses import of_tasks

WORKDIR = flags.DEFINE_string("workdir", "runs/tiny", "A run, or one checkpoint.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "best", ["best", "last"], "Which checkpoint of the run."
)
PROTOCOL = flags.DEFINE_string(
    "protocol", "1x1", f"Clips x crops of a video: {', '.join(PROTOCOLS)}."
)
SPLIT = flags.DEFINE_string("split", "test", "The split that is scored.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the dataset lies, if moved.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Videos at a time.", lower_bound=1)
OUT = flags.DEFINE_string(
    "out", None, "Folder for scores and confusion matrix; evaluation/ of the run."
)
SOFT = flags.DEFINE_bool(
    "soft", False, "Leave a RubiksNet's attention as it was trained: do not harden it."
)
VIDEO = flags.DEFINE_string("video", None, "A video file to classify instead.")
TOP = flags.DEFINE_integer("top", 5, "Classes to print with --video.", lower_bound=1)


def main() -> None:
    protocol = pick("protocol", PROTOCOL.value, PROTOCOLS)
    checkpoint = checkpoints.find(WORKDIR.value, CHECKPOINT.value)
    if VIDEO.value is not None:
        classify(VIDEO.value, checkpoint, protocol)
    else:
        score(checkpoint, protocol)


def classify(video: str, checkpoint: pathlib.Path, protocol) -> None:
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


def score(checkpoint: pathlib.Path, protocol) -> None:
    description = checkpoints.read_description(checkpoint)
    stored = description["config"]["data"]
    data_dir = DATA_DIR.value or stored["dir"]
    if not pathlib.Path(data_dir).is_dir():
        raise ValueError(f"there is no folder {data_dir}: give --data_dir")
    part = open_split(
        stored["name"],
        SPLIT.value,
        data_dir=data_dir,
        options=stored["options"],
    )
    devices = mesh.make_mesh()
    mesh.check_batch("batch_size", BATCH_SIZE.value, devices)
    skeleton, params, stats = split_model(runs.load(checkpoint, soft=SOFT.value))
    hardening = {}
    if not SOFT.value:
        hardening = runs.hardening(
            description["model"], *checkpoints.read_weights(checkpoint)
        )
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
    with eval_batches(
        part,
        view,
        clips=protocol.clips,
        crops=protocol.crops,
        batch_size=BATCH_SIZE.value,
        workers=stored["workers"],
    ) as batches:
        scores = evaluate(
            eval_step,
            *mesh.replicate(devices, (params, stats)),
            batches,
            devices,
            tasks=part.tasks,
        )

    out = pathlib.Path(OUT.value or checkpoint.parents[1] / "evaluation")
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{SPLIT.value}-{PROTOCOL.value}-step{checkpoint.name}"
    report.write_scores(out / f"{stem}.npz", scores, part.classes)
    confusion = None if part.multi_label or part.tasks else out / f"{stem}.png"
    if confusion:
        report.draw_confusion(confusion, scores, part.classes)
    by_class = scores.per_class()
    for name, share in zip(part.classes, by_class, strict=True):
        print(f"{100 * share:6.1f} %  {name}", file=sys.stderr)
    for name, reason in scores.failures:
        print(f"not scored: {name}: {reason}", file=sys.stderr)
    line = {
        "checkpoint": str(checkpoint),
        "dataset": stored["name"],
        "split": SPLIT.value,
        "protocol": PROTOCOL.value,
        **scores.summary(part.reversed_labels),
        **hardening,
        "failed": len(scores.failures),
        "per_class": {
            name: None if math.isnan(share) else share
            for name, share in zip(part.classes, by_class.tolist(), strict=True)
        },
        "scores": str(out / f"{stem}.npz"),
        "confusion": confusion and str(confusion),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    command.run(main)
