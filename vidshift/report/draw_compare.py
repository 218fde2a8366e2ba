"""Accuracy over cost of several networks: TSM's Figure 5, RubiksNet's 4, GSF's 10."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
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
    lines = []
    families = list(dict.fromkeys(point.family for point in points))
    for number, family in enumerate(families):
        colour = colours.IN_ORDER[number % len(colours.IN_ORDER)]
        own = sorted((p for p in points if p.family == family), key=lambda p: p.cost)
        x, y = [p.cost for p in own], [p.accuracy for p in own]
        lines.append(list(zip(x, y, strict=True)))
        line = colours.LINES[number % len(colours.LINES)]
        axes.plot(x, y, line, color=colour, linewidth=1.5, zorder=2)
        for point in own:
            if point.spread:
                axes.plot([point.cost] * 2, point.spread, color="0.6", lw=1, zorder=1)
                lines.append([(point.cost, end) for end in point.spread])
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
    _legend(axes, families, bar if any(point.spread for point in points) else "")
    labels.place(
        axes,
        [
            labels.Label(
                f"{p.name} ({_short(p.parameters)})",
                p.cost,
                p.accuracy,
                (area * p.parameters / np.pi) ** 0.5,
            )
            for p in points
        ],
        lines,
    )
    figure.savefig(path, dpi=120)


def _legend(axes: Axes, families: Sequence[str], bar: str) -> None:
    """Names families, outside the plot; `bar` is "" where there are no thin bars."""
    handles = [
        Line2D(
            [],
            [],
            color=colours.IN_ORDER[i % len(colours.IN_ORDER)],
            linestyle=colours.LINES[i % len(colours.LINES)],
            label=family,
        )
        for i, family in enumerate(families)
    ]
    handles.append(
        Line2D([], [], ls="", marker="o", color="0.7", ms=8, label="area: parameters")
    )
    if bar:
        handles.append(Line2D([], [], color="0.6", lw=1, label=bar))
    axes.figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=3,
        frameon=False,
        handlelength=3,
        fontsize=8,
    )


def _short(number: float) -> str:
    """Returns a count of parameters in three digits."""
    if number >= 1e6:
        return f"{number / 1e6:.3g} M"
    return f"{number / 1e3:.3g} k" if number >= 1e3 else f"{number:g}"
