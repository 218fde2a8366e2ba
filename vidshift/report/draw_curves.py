"""Curves of several adaptive networks in one plot: A3D's Figures 4, 6 and 7."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vidshift.adaptive.table import BudgetRow, changed
from vidshift.report import colours, cost_axis, labels

# Of a curve each, in which colours have their meaning already.
MARKERS = ("o", "s", "^", "D", "v")


class Beside(NamedTuple):
    """A network of one size beside the curves; accuracy in percent."""

    name: str
    gflops: float
    accuracy: float


def draw_curves(
    path: pathlib.Path,
    curves: Mapping[str, Sequence[BudgetRow]],
    beside: Sequence[Beside] = (),
) -> None:
    """Draws a PNG: the Pareto front of each run, coloured by what a step gives up.

    Args:
      path: of the file.
      curves: rows of each curve, cheapest first, by its name.
      beside: other networks.
    """
    figure = Figure(figsize=(8.5, 5.5), layout="constrained")
    axes = figure.subplots()
    handles, names = [], []
    for number, (name, rows) in enumerate(curves.items()):
        line = colours.LINES[number % len(colours.LINES)]
        marker = MARKERS[number % len(MARKERS)]
        for cheaper, row in itertools.pairwise(rows):
            colour, _ = colours.GIVEN_UP[changed(cheaper.subnetwork, row.subnetwork)]
            axes.plot(
                [cheaper.gflops, row.gflops],
                [100 * cheaper.top1, 100 * row.top1],
                line,
                color=colour,
            )
        axes.plot(
            [row.gflops for row in rows],
            [100 * row.top1 for row in rows],
            marker,
            color="0.25",
            markersize=5,
        )
        handles.append(Line2D([], [], color="0.25", ls=line, marker=marker, label=name))
        names += [
            labels.Label(str(row.subnetwork), row.gflops, 100 * row.top1)
            for row in rows
        ]
    for point in beside:
        axes.plot(point.gflops, point.accuracy, "*", color=colours.PURPLE, ms=11)
        names.append(labels.Label(point.name, point.gflops, point.accuracy, 6.0))
    cost_axis.scale(axes, [name.x for name in names])
    axes.set(xlabel="GFLOPs a clip (multiplications)", ylabel="top-1, %")
    axes.margins(x=0.12, y=0.12)
    axes.grid(alpha=0.3)
    handles += [
        Line2D([], [], color=colour, label=text)
        for colour, text in colours.GIVEN_UP.values()
    ]
    if beside:
        handles.append(
            Line2D([], [], ls="", marker="*", color=colours.PURPLE, label="other runs")
        )
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=4,
        frameon=False,
        handlelength=3,
        fontsize=8,
    )
    lines = [[(r.gflops, 100 * r.top1) for r in rows] for rows in curves.values()]
    labels.place(axes, names, lines, size=7)
    figure.savefig(path, dpi=120)
