"""Per-clip scores in a file: written by an evaluation, read for an ensemble."""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidshift import tasks
from vidshift.evaluation.evaluate import Scores


class ScoreFile(NamedTuple):
    scores: Scores
    classes: tuple[str, ...]


def write(path: pathlib.Path, scores: Scores, classes: Sequence[str]) -> None:
    """Writes an `.npz`: `ids`, `labels` `[N, ...]`, `logits` `[N, classes]`, `classes`.

    The kind of label is in `multi_label` and, for several tasks, in `tasks` and
    `task_classes`: their names and how many of the classes are each one's.
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
    )


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
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
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
    scores = Scores(logits, labels, np.arange(len(ids)), ids, (), task)
    return ScoreFile(scores, classes)
