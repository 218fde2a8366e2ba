"""Accuracy over computation of an adaptive network, as in A3D's Figure 6."""

import itertools
import pathlib

import numpy as np
from matplotlib.figure import Figure

from vidshift.adaptive.table import Table, changed

# What a step of the curve gives up, in the colours of the paper's figure.
COLOURS = {"side": "red", "frames": "green", "width": "blue", "several": "black"}


def draw_budgets(path: pathlib.Path, table: Table) -> None:
    """A PNG: every sub-network a dot, the best for each budget joined by lines."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    costs, accuracies = (
        np.array([getattr(row, name) for row in table.rows])
        for name in ("gflops", "top1")
    )
    axes.scatter(costs, 100 * accuracies, s=12, color="lightgrey", label="sub-networks")
    best = table.pareto()
    drawn = set()
    for cheaper, row in itertools.pairwise(best):
        kind = changed(cheaper.subnetwork, row.subnetwork)
        axes.plot(
            [cheaper.gflops, row.gflops],
            [100 * cheaper.top1, 100 * row.top1],
            color=COLOURS[kind],
            marker="o",
            markersize=4,
            label=None if kind in drawn else f"best; {kind} differs",
        )
        drawn.add(kind)
    for row in best:
        axes.annotate(
            str(row.subnetwork),
            (row.gflops, 100 * row.top1),
            textcoords="offset points",
            xytext=(4, -10),
            fontsize=7,
        )
    axes.set(xscale="log", xlabel="GFLOPs a clip (multiplications)", ylabel="top-1, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
