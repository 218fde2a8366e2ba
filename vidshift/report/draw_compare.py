"""Accuracy over cost of several networks: TSM's Figure 5, RubiksNet's 4, GSF's 10."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vidshift.report import colours, cost_axis, labels

# Area of the circle of the network with most parameters, in points².
LARGEST = 900.0


class Point(NamedTuple):
    """A network, or a mean over several.

    family: networks of one family are joined by a line.
    cost: on the x axis.
    accuracy: in percent.
    spread: interval of the accuracy in percent, drawn as a thin bar.
    """

    name: str
    family: str
    cost: float
    accuracy: float
    parameters: int
    spread: tuple[float, float] | None = None


def draw_compare(
    path: pathlib.Path, points: Sequence[Point], *, cost: str, accuracy: str, bar: str
) -> None:
    """Draws a PNG: a circle a network, whose area is its number of parameters.

    Args:
      path: of the file.
      points: at least one.
      cost, accuracy: names of the axes.
      bar: what the thin bars are.
    """
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    area = LARGEST / max(point.parameters for point in points)
    families = list(dict.fromkeys(point.family for point in points))
    for number, family in enumerate(families):
        colour = colours.IN_ORDER[number % len(colours.IN_ORDER)]
        own = sorted((p for p in points if p.family == family), key=lambda p: p.cost)
        x, y = [p.cost for p in own], [p.accuracy for p in own]
        style = colours.LINES[number % len(colours.LINES)]
        axes.plot(x, y, style, color=colour, linewidth=1.5, zorder=2)
        for point in own:
            if point.spread:
                axes.plot([point.cost] * 2, point.spread, color="0.6", lw=1, zorder=1)
        axes.scatter(
            x,
            y,
            s=[area * p.parameters for p in own],
            color=colour,
            edgecolor="white",
            alpha=0.75,
            zorder=3,
        )
    cost_axis.scale(axes, [point.cost for point in points])
    axes.margins(x=0.15, y=0.15)
    axes.set(xlabel=cost, ylabel=accuracy)
    axes.grid(alpha=0.3)
    _legend(axes, families, points, area, bar)
    labels.place(
        axes,
        [
            labels.Label(
                p.name, p.cost, p.accuracy, (area * p.parameters / np.pi) ** 0.5
            )
            for p in points
        ],
    )
    figure.savefig(path, dpi=120)


def _legend(axes, families, points, area: float, bar: str) -> None:
    """Names families by line and circles by their number of parameters, outside."""
    handles = [
        Line2D(
            [],
            [],
            color=colours.IN_ORDER[i % len(colours.IN_ORDER)],
            linestyle=colours.LINES[i % len(colours.LINES)],
            marker="o",
            label=family,
        )
        for i, family in enumerate(families)
    ]
    handles += [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            color="0.7",
            markersize=2 * (area * parameters / np.pi) ** 0.5,
            label=f"{parameters:.2g} parameters"
            if parameters < 1e3
            else f"{_short(parameters)} parameters",
        )
        for parameters in sorted(
            {_rounded(f(p.parameters for p in points)) for f in (min, max)}
        )
    ]
    if any(point.spread for point in points):
        handles.append(Line2D([], [], color="0.6", lw=1, label=bar))
    axes.figure.legend(
        handles=handles,
        loc="outside right upper",
        frameon=False,
        labelspacing=1.2,
        fontsize=8,
    )


def _rounded(parameters: int) -> float:
    """Returns a number of one digit, for the legend."""
    power = 10 ** int(np.log10(parameters))
    return round(parameters / power) * power


def _short(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"
