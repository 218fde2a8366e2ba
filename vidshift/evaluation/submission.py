"""Answers to a test whose labels are not public, as its server takes them."""

import pathlib
from collections.abc import Sequence

import numpy as np

from vidshift.evaluation.evaluate import Scores


def _name(id: str, best: Sequence[int], classes: Sequence[str]) -> str:
    return f"{id};{classes[best[0]]}"


def _five_numbers(id: str, best: Sequence[int], classes: Sequence[str]) -> str:
    del classes
    return ";".join([id, *(str(label) for label in best)])


# A line for each clip: "id;class", or "id;" and the numbers of the five best classes, as
# the official code of TSM writes them.
FORMATS = {
    "something_v1": _name,
    "something_v2": _five_numbers,
    "jester": _name,
}


def check(dataset: str) -> None:
    """Raises ValueError where a data set's server is not known."""
    if dataset not in FORMATS:
        raise ValueError(
            f"a submission is for one of {', '.join(FORMATS)}, got {dataset}"
        )


def write(
    path: pathlib.Path, scores: Scores, classes: Sequence[str], dataset: str
) -> None:
    """Writes a line for each clip that was scored.

    Args:
      path: of the file.
      scores: of the clips.
      classes: names of all classes.
      dataset: its name, in FORMATS.

    Raises:
      ValueError: the data set's server is not known.
    """
    check(dataset)
    best = np.argsort(-scores.logits, axis=1, kind="stable")[:, :5]
    lines = [
        FORMATS[dataset](id, row, classes)
        for id, row in zip(scores.ids, best.tolist(), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
