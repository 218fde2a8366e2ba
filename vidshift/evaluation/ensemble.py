"""Several networks' scores of the same clips as one: two streams, or an ensemble."""

from collections.abc import Sequence

import numpy as np

from vidshift.evaluation.evaluate import Scores


def combine(
    members: Sequence[Scores],
    *,
    names: Sequence[str],
    weights: Sequence[float] | None = None,
    of: str = "logits",
) -> Scores:
    """Returns the weighted mean of scores, clip by clip of the same id.

    Clips that a member did not score are left out and listed in `failures`.

    Args:
      members: of the same classes.
      names: of the members, for errors.
      weights: of the members, above 0; None: all alike. Two streams are RGB 1 and flow
        1.5 in TSN (Wang et al., 2016, section 5.2).
      of: "logits", as TSM's and GSF's test scripts average; "softmax" (sigmoid where a
        clip has several labels), whose mean's logarithm (logit) is given.

    Raises:
      ValueError: weights that do not fit; members of other classes, tasks or labels; no
        clip that all of them scored.
    """
    weights = [1.0] * len(members) if weights is None else list(weights)
    if len(weights) != len(members) or not all(0 < w < float("inf") for w in weights):
        raise ValueError(
            f"weights must be {len(members)} numbers above 0, one for each of "
            f"{', '.join(names)}, got {weights}"
        )
    rows = [rows_by_id(*named) for named in zip(members, names, strict=True)]
    first, *others = members
    for member, name in zip(others, names[1:], strict=True):
        if member.logits.shape[1] != first.logits.shape[1]:
            raise ValueError(
                f"{name} scores {member.logits.shape[1]} classes, and {names[0]} "
                f"{first.logits.shape[1]}"
            )
        if member.task != first.task:
            raise ValueError(
                f"{name} has labels of another kind than {names[0]}: {member.task} and "
                f"{first.task}"
            )
    kept = [id for id in first.ids if all(id in by_id for by_id in rows)]
    if not kept:
        raise ValueError(f"no clip was scored by all of {', '.join(names)}")
    failures = dict(failure for member in members for failure in member.failures)
    for by_id, name in zip(rows, names, strict=True):
        for id in (id for member in members for id in member.ids if id not in by_id):
            failures.setdefault(id, f"{id}: not scored by {name}")
    labels = first.labels[[rows[0][id] for id in kept]]
    for member, by_id, name in zip(others, rows[1:], names[1:], strict=True):
        theirs = member.labels[[by_id[id] for id in kept]]
        if theirs.shape != labels.shape or (theirs != labels).any():
            raise ValueError(f"{name} and {names[0]} have other labels for a clip")
    scored = lambda member: (
        member.task.probabilities(member.logits)
        if of == "softmax"
        else member.logits.astype(np.float64)
    )
    total = sum(
        weight * scored(member)[[by_id[id] for id in kept]]
        for member, by_id, weight in zip(members, rows, weights, strict=True)
    ) / sum(weights)
    if of == "softmax":
        total = first.task.logits_of(total)
    return Scores(
        logits=total.astype(np.float32),
        labels=labels,
        rows=first.rows[[rows[0][id] for id in kept]],
        ids=tuple(kept),
        failures=tuple(failures.items()),
        task=first.task,
    )


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
