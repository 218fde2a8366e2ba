"""Accuracy over the share of a video that has been seen: Figure 6 of TSM's paper."""

import itertools
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from vidshift.report import colours


def draw_early(path: pathlib.Path, shares: Sequence[float], rows: list[dict]) -> None:
    """A PNG: a line a network, dashed where it was shown clips and not streamed."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for row, colour in zip(rows, itertools.cycle(colours.IN_ORDER)):
        style = "-" if row["sees"] == "streamed" else "--"
        axes.plot(
            shares,
            row["accuracy"],
            style,
            color=colour,
            marker="o",
            label=row["network"],
        )
    axes.set(xlabel="frames seen", ylabel=rows[0]["figure"], ylim=(0, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
