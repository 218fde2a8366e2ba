"""The axis of costs: linear, or logarithmic with plain numbers."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

# Costs that differ by more than this factor are drawn on a logarithmic axis.
LOGARITHMIC_FROM = 8.0


def scale(axes: Axes, costs: Sequence[float]) -> None:
    """Makes the x axis logarithmic where the costs, all above 0, are far apart."""
    if max(costs) / min(costs) <= LOGARITHMIC_FROM:
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
