"""Chance in accuracies: intervals of one (Wilson, bootstrap), McNemar's test of two."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

# Quantile of the normal distribution that leaves 2.5 % on either side.
Z95 = 1.959963984540054
# Clips that only one of two networks has right, from which chi-square is close enough.
EXACT_BELOW = 25
# Resamples of a bootstrap: the ends of the interval are then exact to a few thousandths
# of its width.
RESAMPLES = 10_000


def wilson(right: int, clips: int, z: float = Z95) -> tuple[float, float]:
    """Returns the interval of an accuracy by Wilson's score (1927, equation 4).

    Unlike the normal interval it stays within [0, 1] and has a width at 0 and at 1.

    Args:
      right: clips that are right.
      clips: all clips.
      z: quantile of the normal distribution; the default is for 95 %.

    Raises:
      ValueError: there is no clip, or more are right than there are.
    """
    if not 0 <= right <= clips or not clips:
        raise ValueError(f"right must be in [0, clips], got {right} of {clips} clips")
    share, spread = right / clips, z * z / clips
    centre = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    # Rounding leaves the ends of 0 and 1 a little beside them.
    return (0.0 if right == 0 else low), (1.0 if right == clips else high)


def bootstrap(
    values: Float[np.ndarray, " N"], groups: Sequence[Hashable]
) -> tuple[float, float]:
    """Returns the 95 % interval of a mean by resampling groups of clips (Efron, 1979).

    Clips of one group, such as windows that begin at the same time, are no separate
    draws: an interval that takes them for that, as Wilson's, is too narrow. The resamples
    are the same in every call.

    Args:
      values: of each clip, such as 1 where it is right.
      groups: of each clip.

    Raises:
      ValueError: there is no clip, or not a group for each.
    """
    if len(values) != len(groups) or not len(values):
        raise ValueError(
            f"groups must be one for each of the clips, got {len(groups)} and {len(values)}"
        )
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    numbers = [names[group] for group in groups]
    sums = np.bincount(numbers, weights=values)
    sizes = np.bincount(numbers)
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


class McNemar(NamedTuple):
    """Two networks on the same clips.

    gained, lost: clips that only the second, or only the first, has right.
    p: probability of a split of those at least as uneven, were both equally good.
    exact: whether `p` is binomial; otherwise it is of chi-square.
    """

    gained: int
    lost: int
    p: float
    exact: bool


def mcnemar(gained: int, lost: int) -> McNemar:
    """Tests the difference of two networks on the same clips (McNemar, 1947).

    Fewer than `EXACT_BELOW` clips that the networks differ in are tested by the binomial
    distribution, two-sided; more by chi-square with Edwards' correction for continuity.

    Args:
      gained: clips that only the second network has right.
      lost: clips that only the first network has right.

    Raises:
      ValueError: a count is negative.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"counts must be 0 or more, got {gained} and {lost}")
    differ = gained + lost
    if differ < EXACT_BELOW:
        least = min(gained, lost)
        tail = sum(math.comb(differ, i) for i in range(least + 1)) / 2**differ
        return McNemar(gained, lost, min(1.0, 2 * tail), exact=True)
    # Two equal counts have no difference to correct.
    chi_square = max(0, abs(gained - lost) - 1) ** 2 / differ
    p = math.erfc(math.sqrt(chi_square / 2))
    return McNemar(gained, lost, p, exact=False)


def compared(before: Bool[np.ndarray, " N"], after: Bool[np.ndarray, " N"]) -> McNemar:
    """Tests two networks by which of the same clips each has right."""
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    return mcnemar(gained, lost)
