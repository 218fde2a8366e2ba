"""Mean and spread of a figure over runs: over splits, seeds or choices of blocks."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Figures of several runs; `deviation` is the sample's, None of a single run."""

    mean: float
    deviation: float | None
    least: float
    most: float


def spread(figures: Sequence[float]) -> Spread:
    """Returns mean, standard deviation (over n - 1), minimum and maximum.

    Raises:
      ValueError: there is no figure.
    """
    if not figures:
        raise ValueError("figures must not be empty")
    deviation = statistics.stdev(figures) if len(figures) > 1 else None
    return Spread(statistics.fmean(figures), deviation, min(figures), max(figures))
