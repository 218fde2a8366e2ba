"""Several networks' scores of the same clips as one: two streams, or an ensemble."""

from collections.abc import Sequence

import numpy as np

from vidshift.evaluation.common_clips import common_clips
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
    first, *others = members
    for member, name in zip(others, names[1:], strict=True):
        if member.logits.shape[1] != first.logits.shape[1]:
            raise ValueError(
                f"{name} scores {member.logits.shape[1]} classes, and {names[0]} "
                f"{first.logits.shape[1]}"
            )
    kept, orders = common_clips(members, names)
    failures = dict(failure for member in members for failure in member.failures)
    every = dict.fromkeys(id for member in members for id in member.ids)
    for member, name in zip(members, names, strict=True):
        own = set(member.ids)
        for id in (id for id in every if id not in own):
            failures.setdefault(id, f"{id}: not scored by {name}")
    scored = lambda member: (
        member.task.probabilities(member.logits)
        if of == "softmax"
        else member.logits.astype(np.float64)
    )
    total = sum(
        weight * scored(member)[order]
        for member, order, weight in zip(members, orders, weights, strict=True)
    ) / sum(weights)
    if of == "softmax":
        total = first.task.logits_of(total)
    return Scores(
        logits=total.astype(np.float32),
        labels=first.labels[orders[0]],
        rows=first.rows[orders[0]],
        ids=kept,
        failures=tuple(failures.items()),
        task=first.task,
    )
