"""RubiksNet's shifts from a network whose shifts have other rows or another kind of time.

The paper's Table 4 compares learned and fixed distances in space and in time, each from a
Kinetics network of its own. These rules are ours: they let all of them start from one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vidshift.checkpoints import CheckpointError
from vidshift.nets import BACKBONES
from vidshift.nets.rubiksnet import SHIFT_OPTIONS, ShiftOptions
from vidshift.shifts.attention import INITS


class RowMove(NamedTuple):
    """Moves the rows of each block's shift from one RubiksNet to another.

    there, here: the rows that each learns; none in other networks.
    said: a line on the rows.
    attention: a line on an attention that the network has and the other one has not.
    """

    there: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    said: str = ""
    attention: str = ""

    def moves(self, name: str) -> bool:
        """Says whether an array is a shift that learns other rows there."""
        return self.there != self.here and name.endswith(".shift.shift")

    def drops(self, name: str) -> bool:
        """Says whether an array is a shift of which nothing is learned here."""
        return self.moves(name) and not self.here

    def starts(self, name: str) -> bool:
        """Says whether an array is of the attention that starts afresh."""
        return bool(self.attention) and ".attention." in name

    def make(
        self,
        there: Float[np.ndarray, "rows_there C"],
        here: Float[np.ndarray, "rows_here C"],
    ) -> Float[np.ndarray, "rows_here C"]:
        """Makes a new shift: rows that are there, and the others as they were drawn."""
        found = dict(zip(self.there, there, strict=True))
        rows = zip(self.here, here, strict=True)
        return np.stack([found.get(name, drawn) for name, drawn in rows])


def find_row_move(
    source: str, theirs: Mapping, ours: Mapping, *, of_images: bool
) -> RowMove:
    """Finds what a RubiksNet's shifts take from another's.

    Args:
      source: a name for errors.
      theirs, ours: arguments of `create`.
      of_images: whether `theirs` sees frames one by one.

    Raises:
      CheckpointError: nothing there is a start for this network's shifts.
    """
    if any("space" not in BACKBONES[x["backbone"]].options for x in (theirs, ours)):
        return RowMove()
    there, here = _options(theirs), _options(ours)
    _refuse(source, there, here, of_images=of_images)
    rows = there.learned_rows(), here.learned_rows()
    attention = ""
    if here.kind.attention and not there.kind.attention:
        init = here.attention_init or "paper"
        low, high = INITS[init]
        attention = (
            f"the attention starts from U[{low:g}, {high:g}] (attention_init={init})"
        )
    return RowMove(*rows, _said(*rows, here) if rows[0] != rows[1] else "", attention)


def _options(model: Mapping) -> ShiftOptions:
    return ShiftOptions(**{k: v for k, v in model.items() if k in SHIFT_OPTIONS})


def _refuse(
    source: str, there: ShiftOptions, here: ShiftOptions, *, of_images: bool
) -> None:
    """Refuses networks of which nothing is a start for this one's shifts."""
    reason = None
    rows = there.learned_rows(), here.learned_rows()
    if "h" in rows[1] and "h" not in rows[0]:
        reason = (
            "has ShiftNet's fixed distances in space (space='fixed'), and the network "
            "learns them; start from a run that learned them, or set "
            "config.model.space=fixed"
        )
    elif of_images:
        pass  # time is new in every variant
    elif here.kind.sites:
        if not there.kind.sites:
            reason = (
                f"shifts in time by itself (variant={there.variant!r}), and the network "
                "does not (variant='spatial')"
            )
    elif there.kind.sites:
        reason = (
            "mixes time by a scheme (variant='spatial'), and the network shifts in time "
            "by itself; start from an image network"
        )
    elif "t" in rows[1] and "t" not in rows[0]:
        kind = "an attention" if there.kind.attention else "TSM's fixed distances"
        reason = (
            f"has {kind} in time, and the network learns distances; start from a run of "
            "variant='interpolated', or from an image network"
        )
    elif there.kind.attention and not here.kind.attention:
        reason = (
            "chose its shifts in time by attention, and the network has TSM's fixed "
            "ones; start from a run of variant='interpolated' or of time='fixed', or "
            "from an image network"
        )
    if reason:
        raise CheckpointError(f"init={source} {reason}")


def _said(there: tuple[str, ...], here: tuple[str, ...], options: ShiftOptions) -> str:
    """Says which rows are taken, new and dropped, and what is in their place."""
    said = []
    if kept := [row for row in here if row in there]:
        said.append(f"row{'s' * (len(kept) > 1)} {', '.join(kept)} from there")
    if "t" in here and "t" not in there:
        said.append(f"row t new (time_init={options.time_init or 'uni1'})")
    if "t" in there and "t" not in here:
        instead = "an attention" if options.kind.attention else "TSM's fixed distances"
        said.append(f"row t dropped for {instead}")
    if "h" in there and "h" not in here:
        said.append("rows h, w dropped for ShiftNet's fixed distances")
    return "; ".join(said)
