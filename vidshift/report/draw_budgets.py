"""Accuracy over computation of an adaptive network, as in A3D's Figure 6."""

import itertools
import pathlib

from matplotlib.figure import Figure

from vidshift.adaptive.table import Table, changed
from vidshift.report import colours, labels

MARKERS = "osv^"  # a crop each


def draw_budgets(path: pathlib.Path, table: Table) -> None:
    """Draws a PNG of every sub-network, the best for each budget joined by lines.

    Rows of different evaluations have axes of their own.
    """
    parts = table.parts()
    figure = Figure(figsize=(9, 6 * len(parts)), layout="constrained")
    every = figure.subplots(len(parts), squeeze=False)[:, 0]
    for axes, (conditions, part) in zip(every, parts.items()):
        axes.set_title(str(conditions), fontsize=9)
        _draw(axes, part)
    # Labels look for free places, so all axes must have theirs.
    for axes, part in zip(every, parts.values()):
        _name(axes, part)
    figure.savefig(path, dpi=120)


def _draw(axes, table: Table) -> None:
    for number, crop in enumerate(sorted({row.crop for row in table.rows})):
        rows = [row for row in table.rows if row.crop == crop]
        axes.scatter(
            [row.gflops for row in rows],
            [100 * row.top1 for row in rows],
            s=16,
            marker=MARKERS[number % len(MARKERS)],
            color="lightgrey",
            label=f"sub-networks, clips of {crop}²",
        )
    best = table.pareto()
    drawn = set()
    for cheaper, row in itertools.pairwise(best):
        kind = changed(cheaper.subnetwork, row.subnetwork)
        colour, reduced = colours.GIVEN_UP[kind]
        axes.plot(
            [cheaper.gflops, row.gflops],
            [100 * cheaper.top1, 100 * row.top1],
            color=colour,
            marker="o",
            markersize=4,
            label=None if kind in drawn else f"best: {reduced}",
        )
        drawn.add(kind)
    axes.set(xscale="log", xlabel="GFLOPs a clip (multiplications)", ylabel="top-1, %")
    axes.grid(alpha=0.3)
    axes.legend()


def _name(axes, table: Table) -> None:
    best = table.pareto()
    points = [(row.gflops, 100 * row.top1) for row in best]
    names = [
        labels.Label(str(row.subnetwork), *point)
        for row, point in zip(best, points, strict=True)
    ]
    labels.place(axes, names, [points], size=7)
