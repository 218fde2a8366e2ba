"""Draws the sub-networks of a training step, and names the programs that run them."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidshift.adaptive.subnetwork import SubNetwork

# What every mutual step runs besides sub-networks: the full network, and the update.
OTHER_PROGRAMS = 2
WIDTH_DRAWS = ("grid", "uniform")
# Numbers of channels are multiples of 8, so those of a network with up to 2048 of them
# are the same anywhere between two neighbours of this grid. A drawn width is taken as
# the middle, and [0.63, 1] holds 190 different networks.
WIDTHS_APART = 512


class Drawn(NamedTuple):
    """A sub-network, and the program that runs it: its own, or a wider one's."""

    subnetwork: SubNetwork
    program: SubNetwork


class SubNetworkSampling(NamedTuple):
    """The narrowest width at every resolution, and what random ones are drawn from."""

    narrowest: tuple[SubNetwork, ...]
    # Programs of random sub-networks.
    random: tuple[SubNetwork, ...]
    # Smallest and largest width, where any between may be drawn.
    interval: tuple[float, float] | None = None

    def all(self) -> tuple[SubNetwork, ...]:
        return tuple(dict.fromkeys(self.narrowest + self.random))

    def draw(self, seed: int, step: int, random_networks: int) -> list[Drawn]:
        """Draws a step's sub-networks, one narrowest and then random ones.

        Every process draws the same.
        """
        rng = np.random.default_rng((seed, step, 3))  # not the loader's (seed, step)
        first = self.narrowest[rng.integers(len(self.narrowest))]
        if self.interval is None:
            others = rng.choice(len(self.random), random_networks, replace=False)
            programs = [first, *(self.random[i] for i in others)]
            return [Drawn(one, one) for one in programs]
        others = [self._anywhere(rng) for _ in range(random_networks)]
        return [Drawn(first, first), *others]

    def _anywhere(self, rng: np.random.Generator) -> Drawn:
        """Draws width, side and frames each on its own (A3D, 3.1)."""
        width = middle(rng.uniform(*self.interval), *self.interval)
        side, frames = self.narrowest[rng.integers(len(self.narrowest))][1:]
        wide = min(one.width for one in self.random if one.width >= width)
        return Drawn(SubNetwork(width, side, frames), SubNetwork(wide, side, frames))


def middle(width: float, smallest: float, largest: float) -> float:
    """Returns the width that stands for all whose numbers of channels are the same."""
    center = (math.floor(width * WIDTHS_APART) + 0.5) / WIDTHS_APART
    return min(max(round(center, 4), smallest), largest)


def sampling(
    widths: Sequence[float],
    sides: Sequence[int],
    frames: Sequence[int],
    *,
    full: SubNetwork | None,
    max_programs: int,
    draw: str = "grid",
) -> SubNetworkSampling:
    """Returns what a step's sub-networks are drawn from: every combination of the three.

    A program is compiled for each width x side x frames of the grid. With `draw="uniform"`
    widths lie anywhere between the first and the last, and the program of the next width
    of the grid runs them, with its other channels at zero.

    Args:
      widths, sides, frames: the grids; random sub-networks take the widths above the
        narrowest.
      full: one that is left out: the full network is no sub-network of itself.
      max_programs: most sub-networks, and `OTHER_PROGRAMS`.
      draw: a name in `WIDTH_DRAWS`.

    Raises:
      ValueError: an empty grid, no such draw, or more programs than `max_programs`.
    """
    if draw not in WIDTH_DRAWS:
        raise ValueError(
            f"adaptive.width_draw must be one of {WIDTH_DRAWS}, got {draw!r}"
        )
    widths, sides, frames = (sorted(set(g)) for g in (widths, sides, frames))
    if not (widths and sides and frames):
        raise ValueError("adaptive.widths, sides and frames must not be empty")
    uniform = draw == "uniform"
    if uniform and len(widths) < 2:
        raise ValueError(
            "adaptive.width_draw=uniform draws between the smallest and the largest of "
            f"adaptive.widths, got {widths}"
        )
    narrowest = tuple(SubNetwork(widths[0], s, t) for s in sides for t in frames)
    narrowest = tuple(x for x in narrowest if x != full)
    # Draws go by this order, which is kept so that runs go on as they began.
    random = tuple(
        SubNetwork(width, side, frames[(w + s + turn) % len(frames)])
        for turn in range(len(frames))
        for w, width in enumerate(widths[1:])
        for s, side in enumerate(sides)
    )
    if not uniform:  # where a wider program is the full size, narrower ones use it
        random = tuple(x for x in random if x != full)
    if not narrowest:
        raise ValueError(
            "adaptive.widths, sides and frames hold the full network alone, which is no "
            "sub-network: add a width below 1, or a smaller side or number of frames"
        )
    needed = len(narrowest) + len(random) + OTHER_PROGRAMS
    if needed > max_programs:
        raise ValueError(
            f"adaptive.max_programs={max_programs} is too few: {len(widths)} widths x "
            f"{len(sides)} sides x {len(frames)} numbers of frames and {OTHER_PROGRAMS} "
            f"other programs need {needed}; take fewer, or raise it"
        )
    # Where the full network is the only other one, there is nothing else to draw.
    return SubNetworkSampling(
        narrowest, random or narrowest, (widths[0], widths[-1]) if uniform else None
    )


def grid(
    widths: Sequence[float], sides: Sequence[int], frames: Sequence[int]
) -> list[SubNetwork]:
    """All of them, the largest first: what a table of budgets has rows for."""
    all_of_them = itertools.product(
        *(sorted(set(g), reverse=True) for g in (widths, sides, frames))
    )
    return [SubNetwork(*each) for each in all_of_them]
