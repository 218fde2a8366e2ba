"""Which sub-networks a mutual training draws from, few enough to compile each once."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vidshift.adaptive.subnetwork import SubNetwork

# What every mutual step runs besides sub-networks: the full network, and the update.
OTHER_PROGRAMS = 2


class SubNetworkSampling(NamedTuple):
    """The narrowest width at every resolution, and what random ones are drawn from."""

    narrowest: tuple[SubNetwork, ...]
    random: tuple[SubNetwork, ...]

    def all(self) -> tuple[SubNetwork, ...]:
        return tuple(dict.fromkeys(self.narrowest + self.random))

    def draw(self, seed: int, step: int, random_networks: int) -> list[SubNetwork]:
        """Draws a step's sub-networks, one narrowest and then random ones.

        Every process draws the same.
        """
        rng = np.random.default_rng((seed, step, 3))  # not the loader's (seed, step)
        first = self.narrowest[rng.integers(len(self.narrowest))]
        others = rng.choice(len(self.random), random_networks, replace=False)
        return [first, *(self.random[i] for i in others)]


def sampling(
    widths: Sequence[float],
    sides: Sequence[int],
    frames: Sequence[int],
    *,
    full: SubNetwork | None,
    max_programs: int,
) -> SubNetworkSampling:
    """A3D draws a width in an interval, and of both resolutions one each, all apart.

    A program is compiled for a sub-network, so widths come from a grid, and where width x
    side x frames are too many, each width meets only some pairs of side and frames: every
    side equally often and the frames with it in turn, as in a Latin square. The
    narrowest, which is in every step, meets all of them.

    Args:
      widths, sides, frames: the grids; random sub-networks take the widths above the
        narrowest.
      full: one that is left out: the full network is no sub-network of itself.
      max_programs: most sub-networks, and `OTHER_PROGRAMS`.

    Raises:
      ValueError: an empty grid, or too few programs for one turn of the square.
    """
    widths, sides, frames = (sorted(set(g)) for g in (widths, sides, frames))
    if not (widths and sides and frames):
        raise ValueError("adaptive.widths, sides and frames must not be empty")
    narrowest = tuple(SubNetwork(widths[0], s, t) for s in sides for t in frames)
    narrowest = tuple(x for x in narrowest if x != full)
    if not narrowest:
        raise ValueError(
            "adaptive.widths, sides and frames hold the full network alone, which is no "
            "sub-network: add a width below 1, or a smaller side or number of frames"
        )
    left = max_programs - OTHER_PROGRAMS - len(narrowest)
    if left < 0:
        raise ValueError(
            f"adaptive.max_programs={max_programs} is too few: the narrowest network at "
            f"{len(narrowest)} resolutions and {OTHER_PROGRAMS} other programs need "
            f"{len(narrowest) + OTHER_PROGRAMS}"
        )
    random, first_turn = [], 0
    for turn in range(len(frames)):
        these = [
            SubNetwork(width, side, frames[(w + s + turn) % len(frames)])
            for w, width in enumerate(widths[1:])
            for s, side in enumerate(sides)
        ]
        these = [x for x in these if x != full]
        first_turn = first_turn or len(these)
        if len(random) + len(these) > left:
            break
        random += these
    # Where the full network is the only other one, there is nothing else to draw.
    if first_turn and not random:
        raise ValueError(
            f"adaptive.max_programs={max_programs} is too few: the narrowest network at "
            f"{len(narrowest)} resolutions, {first_turn} other sub-networks and "
            f"{OTHER_PROGRAMS} other programs need "
            f"{len(narrowest) + OTHER_PROGRAMS + first_turn}"
        )
    return SubNetworkSampling(narrowest, tuple(random) or narrowest)


def grid(
    widths: Sequence[float], sides: Sequence[int], frames: Sequence[int]
) -> list[SubNetwork]:
    """All of them, the largest first: what a table of budgets has rows for."""
    all_of_them = itertools.product(
        *(sorted(set(g), reverse=True) for g in (widths, sides, frames))
    )
    return [SubNetwork(*each) for each in all_of_them]
