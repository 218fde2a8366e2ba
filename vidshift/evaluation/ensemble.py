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
    """The weighted mean of scores, clip by clip of the same id.

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
    rows = [_rows(*named) for named in zip(members, names, strict=True)]
    first, *others = members
    for member, name in zip(others, names[1:], strict=True):
        if member.logits.shape[1] != first.logits.shape[1]:
            raise ValueError(
                f"{name} scores {member.logits.shape[1]} classes, and {names[0]} "
                f"{first.logits.shape[1]}"
            )
        if dict(member.tasks) != dict(first.tasks):
            raise ValueError(
                f"{name} has tasks {dict(member.tasks)}, and {names[0]} "
                f"{dict(first.tasks)}"
            )
    kept = [id for id in first.ids if all(id in own for own in rows)]
    if not kept:
        raise ValueError(f"no clip was scored by all of {', '.join(names)}")
    failures = dict(failure for member in members for failure in member.failures)
    for own, name in zip(rows, names, strict=True):
        for member in members:
            for id in member.ids:
                if id not in own:
                    failures.setdefault(id, f"{id}: not scored by {name}")
    labels = first.labels[[rows[0][id] for id in kept]]
    for member, own, name in zip(others, rows[1:], names[1:], strict=True):
        theirs = member.labels[[own[id] for id in kept]]
        if theirs.shape != labels.shape or (theirs != labels).any():
            raise ValueError(f"{name} and {names[0]} have other labels for a clip")
    total = sum(
        weight * _shares(member, of)[[own[id] for id in kept]]
        for member, own, weight in zip(members, rows, weights, strict=True)
    ) / sum(weights)
    return Scores(
        logits=_as_logits(total, first, of).astype(np.float32),
        labels=labels,
        rows=first.rows[[rows[0][id] for id in kept]],
        ids=tuple(kept),
        failures=tuple(failures.items()),
        tasks=first.tasks,
    )


def _rows(member: Scores, name: str) -> dict[str, int]:
    rows = {id: row for row, id in enumerate(member.ids)}
    if len(rows) != len(member.ids):
        raise ValueError(f"{name} has several clips of one id")
    return rows


def _shares(member: Scores, of: str) -> np.ndarray:
    logits = member.logits.astype(np.float64)
    if of == "logits":
        return logits
    if _several_labels(member):
        return 1 / (1 + np.exp(-logits))
    ends = np.cumsum(list(member.tasks.values()))[:-1]
    parts = [
        np.exp(p - p.max(1, keepdims=True)) for p in np.split(logits, ends, axis=1)
    ]
    return np.concatenate([p / p.sum(1, keepdims=True) for p in parts], axis=1)


def _as_logits(shares: np.ndarray, member: Scores, of: str) -> np.ndarray:
    if of == "logits":
        return shares
    least = np.finfo(np.float64).tiny
    logits = np.log(np.maximum(shares, least))
    if _several_labels(member):
        logits -= np.log(np.maximum(1 - shares, least))
    return logits


def _several_labels(member: Scores) -> bool:
    return member.labels.ndim == 2 and not member.tasks
