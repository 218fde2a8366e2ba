"""Answers to a test whose labels are not public, as its server takes them."""

import pathlib
from collections.abc import Sequence

import numpy as np

from vidshift.data.annotations import DATASETS
from vidshift.evaluation.evaluate import Scores


def check(dataset: str) -> None:
    """Refuses a data set whose server is not known.

    Raises:
      ValueError: naming those that are.
    """
    known = [name for name, it in DATASETS.items() if it.submission]
    if dataset not in known:
        raise ValueError(
            f"a submission is for one of {', '.join(known)}, got {dataset}"
        )


def write(
    path: pathlib.Path, scores: Scores, classes: Sequence[str], dataset: str
) -> None:
    """Writes a line for each clip that was scored, as the data set's server takes it.

    Raises:
      ValueError: the server is not known.
    """
    check(dataset)
    best = np.argsort(-scores.logits, axis=1, kind="stable")[:, :5]
    lines = [
        DATASETS[dataset].submission(id, row, classes)
        for id, row in zip(scores.ids, best.tolist(), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
