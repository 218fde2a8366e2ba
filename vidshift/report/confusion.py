"""The picture that an evaluation leaves behind: the confusion matrix."""

import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np

from vidshift.evaluation.evaluate import Scores
from vidshift.tasks import metrics


def draw_confusion(path: pathlib.Path, scores: Scores, classes: Sequence[str]) -> None:
    """A PNG: rows are the true classes, columns the predicted ones, shares of a row.

    Names are written for up to 60 classes, numbers for up to 20.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = metrics.confusion(scores.logits, scores.labels)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(0.35 * len(classes), 4, 24))
    figure, axes = pyplot.subplots(figsize=(side + 2, side + 1), layout="constrained")
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= 60:
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, count, ha="center", va="center", color=colour, size=7
                )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
