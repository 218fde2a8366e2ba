"""Scores of the same clips by several networks, row by row."""

from collections.abc import Sequence

import numpy as np

from vidshift.class_names import listed
from vidshift.evaluation.ensemble import rows_by_id
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.score_files import Origin

# Fields of an origin that scores must share to be compared.
SAME = ("dataset", "split", "protocol", "average")
# The same of runs whose figures are averaged over splits.
SAME_BUT_SPLIT = ("dataset", "protocol", "average")


class OtherClipsError(ValueError):
    """Two networks were scored on other clips."""


def check_origins(
    first: Origin,
    other: Origin,
    *,
    us: str,
    them: str,
    fields: Sequence[str] = SAME,
) -> None:
    """Refuses scores of other clips, or under another protocol.

    Args:
      first, other: what the scores are of.
      us, them: names of the two, for the error.
      fields: of an origin that must be the same.

    Raises:
      ValueError: naming what differs.
    """
    for name in fields:
        ours, theirs = getattr(first, name), getattr(other, name)
        if ours != theirs:
            raise ValueError(
                f"{us} and {them} cannot be compared: {name} is {ours} of {us} and "
                f"{theirs} of {them}"
            )


def align(members: Sequence[Scores], *, names: Sequence[str]) -> list[Scores]:
    """Returns scores with the same clips in the same rows, in the first's order.

    A clip that one network could not decode is left out of all of them.

    Args:
      members: of the same classes in the same order.
      names: of the members, for errors.

    Raises:
      OtherClipsError: a member has a clip that another never saw.
      ValueError: members of other labels or kinds of label, or two clips with one id.
    """
    first, us = members[0], names[0]
    rows = [rows_by_id(*named) for named in zip(members, names, strict=True)]
    known = [
        by_id.keys() | {name for name, _ in member.failures}
        for by_id, member in zip(rows, members, strict=True)
    ]
    for ids, them in zip(known[1:], names[1:], strict=True):
        only = {us: sorted(known[0] - ids), them: sorted(ids - known[0])}
        for name, clips in only.items():
            if clips:
                raise OtherClipsError(
                    f"{us} and {them} are of other clips: only {name} has "
                    f"{listed(clips)}"
                )
    kept = [id for id in first.ids if all(id in by_id for by_id in rows)]
    if not kept:
        raise ValueError(f"no clip was scored by all of {', '.join(names)}")
    aligned = []
    for member, by_id, them in zip(members, rows, names, strict=True):
        order = np.array([by_id[id] for id in kept])
        if member.task != first.task:
            raise ValueError(
                f"{them} has labels of another kind than {us}: {member.task} and "
                f"{first.task}"
            )
        aligned.append(
            Scores(
                member.logits[order],
                member.labels[order],
                order,
                tuple(kept),
                member.failures,
                member.task,
            )
        )
        if not np.array_equal(aligned[-1].labels, aligned[0].labels):
            raise ValueError(f"{them} and {us} have other labels for a clip")
    return aligned
