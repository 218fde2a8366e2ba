"""Per-clip scores in a file: written by an evaluation, read for an ensemble."""

import json
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vidshift import tasks
from vidshift.evaluation.evaluate import Scores


class Origin(NamedTuple):
    """Clips that were scored, and by what. Fields of an ensemble's members are joined."""

    dataset: str
    data_dir: str
    split: str
    protocol: str
    # Of the views: "logits" or "softmax".
    average: str
    # Whether a RubiksNet's attention was left as it was trained.
    soft: bool
    checkpoint: str
    # Sum of the checkpoint's weights; "" of an ensemble.
    weights: str


class ScoreFile(NamedTuple):
    scores: Scores
    classes: tuple[str, ...]
    # None in files of vidshift 0.1, which do not say it.
    origin: Origin | None = None


def write(
    path: pathlib.Path,
    scores: Scores,
    classes: Sequence[str],
    origin: Origin | None = None,
) -> None:
    """Writes an `.npz`: `ids`, `labels` `[N, ...]`, `logits` `[N, classes]`, `classes`.

    The kind of label is in `multi_label` and, for several tasks, in `tasks` and
    `task_classes`: their names and how many of the classes are each one's. `failed` are
    the ids of clips that could not be decoded, and `origin` is a JSON object.
    """
    kind = scores.task.to_json()
    np.savez_compressed(
        path,
        ids=np.asarray(scores.ids),
        labels=scores.labels,
        logits=scores.logits,
        classes=np.asarray(classes),
        multi_label=kind["multi_label"],
        tasks=np.asarray(list(kind["tasks"]), str),
        task_classes=np.asarray(list(kind["tasks"].values()), int),
        failed=np.asarray([name for name, _ in scores.failures], str),
        origin=json.dumps(origin and origin._asdict()),
    )


def read_origin(path: pathlib.Path) -> Origin | None:
    """Reads what a file's scores are of, and no scores; None if it does not say."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return _origin(file)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _origin(arrays: Mapping[str, np.ndarray]) -> Origin | None:
    fields = json.loads(str(arrays["origin"])) if "origin" in arrays else None
    return Origin(**fields) if fields else None


def read(path: pathlib.Path) -> ScoreFile:
    """Reads what `write` wrote.

    Raises:
      ValueError: the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of scores")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        logits, labels = arrays["logits"], arrays["labels"]
        ids = tuple(arrays["ids"].tolist())
        classes = tuple(arrays["classes"].tolist())
        names, sizes = arrays["tasks"].tolist(), arrays["task_classes"].tolist()
        several = dict(zip(names, sizes, strict=True))
        multi_label = bool(arrays["multi_label"])
        task = tasks.from_json({"multi_label": multi_label, "tasks": several})
        origin = _origin(arrays)
        failed = arrays["failed"].tolist() if "failed" in arrays else []
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{path} is not a file of scores, or is damaged: give the .npz file that an "
            f"evaluation wrote ({type(error).__name__})"
        ) from error
    shape, _ = task.target_shape(len(classes))
    if logits.shape != (len(ids), len(classes)) or labels.shape != (len(ids), *shape):
        raise ValueError(
            f"{path}: no file of scores: logits {logits.shape}, {len(ids)} ids, "
            f"labels {labels.shape} of {task}, {len(classes)} classes"
        )
    failures = tuple((name, f"{name}: could not be decoded") for name in failed)
    scores = Scores(logits, labels, np.arange(len(ids)), ids, failures, task)
    return ScoreFile(scores, classes, origin)
