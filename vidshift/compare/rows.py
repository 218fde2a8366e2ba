"""Figures of a comparison: a row for each run, a row for each group."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from vidshift.compare.cost import ViewCost
from vidshift.compare.members import Member
from vidshift.evaluation import gains, pairing, same_classes
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.one_label import one_label
from vidshift.evaluation.significance import McNemar, compared, wilson
from vidshift.evaluation.spread import Spread, spread


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A run's figures; `difference` and `test` are against the first run.

    They are None of the first run, of a run of other clips, and `test` and `interval`
    where a clip has several labels.
    """

    member: Member
    clips: int
    figures: dict[str, float]
    interval: tuple[float, float] | None
    difference: float | None
    test: McNemar | None
    cost: ViewCost | None
    latency_ms: float | None

    @property
    def figure(self) -> float:
        """The figure by which a validation chooses: top-1, or mAP."""
        return self.figures[self.member.scores.task.best_by]

    def to_json(self) -> dict[str, Any]:
        network = self.member.run and self.member.run.description.name
        return {
            "name": self.member.name,
            "network": network,
            "checkpoint": self.member.origin.checkpoint,
            "scores": str(self.member.file),
            "split": self.member.origin.split,
            "parameters": self.cost and self.cost.parameters,
            "macs_of_a_view": self.cost and self.cost.macs,
            "latency_ms": self.latency_ms,
            "clips": self.clips,
            **self.figures,
            "interval": self.interval,
            "difference": self.difference,
            "mcnemar": self.test and self.test._asdict(),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Means and spreads of runs' figures; `difference` is of the first group's mean."""

    name: str
    rows: tuple[Row, ...]
    spreads: dict[str, Spread]
    difference: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "runs": [row.member.name for row in self.rows],
            "splits": sorted({row.member.origin.split for row in self.rows}),
            **{name: figures._asdict() for name, figures in self.spreads.items()},
            "difference": self.difference,
        }


def with_classes_of(first: Member, other: Member, map_classes: bool) -> Member:
    """Returns a member with its classes in the first's order.

    Raises:
      ValueError: its classes are others.
    """
    scores = same_classes.in_order_of(
        first.classes,
        other.scores,
        other.classes,
        us=first.name,
        them=other.name,
        map_classes=map_classes,
    )
    return dataclasses.replace(other, scores=scores, classes=first.classes)


def row(
    member: Member,
    scores: Scores,
    first: Scores | None,
    *,
    cost: ViewCost | None = None,
    latency_ms: float | None = None,
) -> Row:
    """Makes a run's row.

    Args:
      member: the run.
      scores: its scores, perhaps without clips that others could not decode.
      first: the first run's scores, row by row of the same clips; None: no difference.
      cost, latency_ms: of the network, None where not known.

    Raises:
      ValueError: the clips have no labels.
    """
    if not scores.labelled:
        raise ValueError(
            f"the clips of split {member.origin.split} have no labels, so {member.name} "
            "has no accuracy"
        )
    figures = scores.summary()
    clips, label = figures.pop("clips"), one_label(scores, member.classes)
    difference = test = None
    if first is not None:
        best = scores.task.best_by
        difference = figures[best] - first.summary()[best]
    if label is not None and first is not None:
        test = compared(one_label(first, member.classes).right, label.right)
    return Row(
        member,
        clips,
        figures,
        interval=None if label is None else wilson(int(label.right.sum()), clips),
        difference=difference,
        test=test,
        cost=cost,
        latency_ms=latency_ms,
    )


def rows_of_runs(members: Sequence[Member], known: Mapping[str, dict]) -> list[Row]:
    """Makes the rows of runs on the same clips, the first of which others are against.

    Args:
      members: runs with the same classes.
      known: arguments `cost` and `latency_ms` of `row`, by the run's name.

    Raises:
      ValueError: they are of other clips, or of other protocols.
    """
    if not members:
        return []
    first, *others = members
    for other in others:
        pairing.check_origins(
            first.origin, other.origin, us=first.name, them=other.name
        )
    aligned = pairing.align(
        [member.scores for member in members], names=[m.name for m in members]
    )
    return [
        row(member, scores, aligned[0] if i else None, **known[member.name])
        for i, (member, scores) in enumerate(zip(members, aligned, strict=True))
    ]


def rows_of_group(
    first: Member, members: Sequence[Member], known: Mapping[str, dict]
) -> tuple[list[Row], list[str]]:
    """Makes the rows of a group's runs, each on its own clips.

    Returns:
      The rows, and a line for each that cannot be tested against the first run.

    Raises:
      ValueError: a run is of another data set, protocol or average than the first.
    """
    rows, notes = [], []
    for member in members:
        pairing.check_origins(
            first.origin,
            member.origin,
            us=first.name,
            them=member.name,
            fields=pairing.SAME_BUT_SPLIT,
        )
        scores, pair = member.scores, None
        if member is not first:
            try:
                pair, scores = pairing.align(
                    [first.scores, member.scores], names=[first.name, member.name]
                )
            except pairing.OtherClipsError as error:
                notes.append(f"not tested: {error}")
        rows.append(row(member, scores, pair, **known[member.name]))
    return rows, notes


def group(name: str, rows: Sequence[Row], first: Group | None) -> Group:
    """Makes a group's row; `first` is the group that its mean is compared with."""
    spreads = {
        figure: spread([row.figures[figure] for row in rows])
        for figure in rows[0].figures
    }
    best = rows[0].member.scores.task.best_by
    difference = first and spreads[best].mean - first.spreads[best].mean
    return Group(name, tuple(rows), spreads, difference)


def class_gains(first: Member, other: Member) -> list[gains.ClassGain]:
    """Returns the classes by how much they gained; none where clips have several labels.

    Raises:
      ValueError: the two are of other clips.
    """
    pair = pairing.align([first.scores, other.scores], names=[first.name, other.name])
    labels = [one_label(scores, first.classes) for scores in pair]
    if None in labels:
        return []
    return gains.gains(*labels)
