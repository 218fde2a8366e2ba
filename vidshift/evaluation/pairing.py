"""Scores of the same clips by several networks, row by row."""

import dataclasses
from collections.abc import Sequence

from vidshift.class_names import listed
from vidshift.evaluation.common_clips import common_clips, rows_by_id
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.score_files import Origin

# Fields of an origin that scores must share to be compared.
SAME = ("dataset", "split", "protocol", "average")
# Those of runs whose figures are averaged over splits.
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
    us = names[0]
    known = [
        rows_by_id(member, name).keys() | {failed for failed, _ in member.failures}
        for member, name in zip(members, names, strict=True)
    ]
    for ids, them in zip(known[1:], names[1:], strict=True):
        only = {us: sorted(known[0] - ids), them: sorted(ids - known[0])}
        for name, clips in only.items():
            if clips:
                raise OtherClipsError(
                    f"{us} and {them} are of other clips: only {name} has "
                    f"{listed(clips)}"
                )
    kept, orders = common_clips(members, names)
    return [
        dataclasses.replace(
            member,
            logits=member.logits[order],
            labels=member.labels[order],
            rows=order,
            ids=kept,
        )
        for member, order in zip(members, orders, strict=True)
    ]
