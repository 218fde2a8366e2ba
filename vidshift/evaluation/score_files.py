"""Per-clip scores in a file: written by an evaluation, read for an ensemble."""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidshift.evaluation.evaluate import Scores


class ScoreFile(NamedTuple):
    scores: Scores
    classes: tuple[str, ...]


def write(path: pathlib.Path, scores: Scores, classes: Sequence[str]) -> None:
    """An `.npz`: `ids`, `labels` int `[N]`, `logits` float32 `[N, classes]`, `classes`.

    Where a clip has several labels, `labels` is multi-hot `[N, classes]`; where it has
    one for each of several tasks, `[N, tasks]`, and `tasks` and `task_classes` are their
    names and how many of the classes are each one's.
    """
    tasks = {}
    if scores.tasks:
        tasks = {
            "tasks": np.asarray(list(scores.tasks)),
            "task_classes": np.asarray(list(scores.tasks.values())),
        }
    np.savez_compressed(
        path,
        ids=np.asarray(scores.ids),
        labels=scores.labels,
        logits=scores.logits,
        classes=np.asarray(classes),
        **tasks,
    )


def read(path: pathlib.Path) -> ScoreFile:
    """Reads what `write` wrote.

    Raises:
      ValueError: the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of scores")
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        logits, labels = arrays["logits"], arrays["labels"]
        ids = tuple(arrays["ids"].tolist())
        classes = tuple(arrays["classes"].tolist())
        tasks = {}
        if "tasks" in arrays:
            sizes = arrays["task_classes"].tolist()
            tasks = dict(zip(arrays["tasks"].tolist(), sizes, strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a file of scores, or is damaged: give the .npz file that an "
            f"evaluation wrote ({type(error).__name__})"
        ) from error
    if logits.shape != (len(ids), len(classes)) or len(labels) != len(ids):
        raise ValueError(
            f"{path}: no file of scores: logits {logits.shape}, {len(ids)} ids, "
            f"{len(labels)} labels, {len(classes)} classes"
        )
    scores = Scores(logits, labels, np.arange(len(ids)), ids, (), tasks)
    return ScoreFile(scores, classes)
