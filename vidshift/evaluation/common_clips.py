"""Clips that several networks scored, matched by their ids."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from vidshift.evaluation.evaluate import Scores


def common_clips(
    members: Sequence[Scores], names: Sequence[str]
) -> tuple[tuple[str, ...], list[Int[np.ndarray, " clips"]]]:
    """Finds the clips that all networks scored, in the first network's order.

    Args:
      members: scores of a network each.
      names: of the networks, for errors.

    Returns:
      The ids of these clips, and for each network the rows that they are in.

    Raises:
      ValueError: there is no such clip; a network has two clips with one id; or the
        networks have labels of different kinds, or other labels for a clip.
    """
    rows = [rows_by_id(*named) for named in zip(members, names, strict=True)]
    first, us = members[0], names[0]
    kept = tuple(id for id in first.ids if all(id in by_id for by_id in rows))
    if not kept:
        raise ValueError(f"no clip was scored by all of {', '.join(names)}")
    orders = [np.array([by_id[id] for id in kept]) for by_id in rows]
    for member, order, them in zip(members, orders, names, strict=True):
        if member.task != first.task:
            raise ValueError(
                f"{them} has labels of another kind than {us}: {member.task} and "
                f"{first.task}"
            )
        if not np.array_equal(member.labels[order], first.labels[orders[0]]):
            raise ValueError(f"{them} and {us} have other labels for a clip")
    return kept, orders


def rows_by_id(member: Scores, name: str) -> dict[str, int]:
    """Returns the row of each clip by its id.

    Args:
      member: scores of a network.
      name: of the network, for the error.

    Raises:
      ValueError: two clips have one id.
    """
    rows = {id: row for row, id in enumerate(member.ids)}
    if len(rows) != len(member.ids):
        raise ValueError(f"{name} has several clips of one id")
    return rows
