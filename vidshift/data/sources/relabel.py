"""A split whose labels are the numbers of another list of classes, by name."""

import dataclasses
from collections.abc import Sequence

from vidshift.class_names import clean
from vidshift.data.annotations import mirrored
from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.sources import split as splits
from vidshift.data.sources.split import Source, Split
from vidshift.tasks import SINGLE_LABEL


@dataclasses.dataclass(frozen=True, slots=True)
class Relabelled:
    """Some records of a source, with other labels."""

    source: Source
    # The new label of each old one; None: it has none.
    labels: tuple[int | None, ...]
    # Rows of the source; None: all of them.
    rows: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.source if self.rows is None else self.rows)

    def __getitem__(self, row: int) -> Record:
        record = self.source[self._row(row)]
        label = record["label"]
        if not isinstance(label, tuple):
            # One that is negative says that the clip has none.
            return record | {"label": label if label < 0 else self.labels[label]}
        kept = [n for n, old in enumerate(label) if self.labels[old] is not None]
        changed = {"label": tuple(self.labels[label[n]] for n in kept)}
        if "spans" in record:
            changed["spans"] = tuple(record["spans"][n] for n in kept)
        return record | changed

    def where(self, row: int) -> str:
        return splits.where(self.source, self._row(row))

    def _row(self, row: int) -> int:
        return row if self.rows is None else self.rows[row]


def by_name(split: Split, classes: Sequence[str]) -> Split:
    """Returns the split with labels that are the numbers of the same names in `classes`.

    Clips of a class that is none of `classes` are left out, and where a clip has several
    labels, those labels. To know them all records are read.

    Args:
      split: of one task.
      classes: in any order, more or fewer than the split's.
    """
    numbers = {clean(name): number for number, name in enumerate(classes)}
    labels = tuple(numbers.get(clean(name)) for name in split.classes)
    rows = None
    if None in labels and split.task == SINGLE_LABEL:
        rows = tuple(
            row for row in range(len(split.source)) if _known(split.source, row, labels)
        )
    return dataclasses.replace(
        split,
        source=Relabelled(split.source, labels, rows),
        classes=tuple(classes),
        flip_labels=_mapped_mirrors(split.flip_labels, labels, classes),
        reversed_labels=_mapped_reverse(split.reversed_labels, labels, classes),
    )


def _known(source: Source, row: int, labels: Sequence[int | None]) -> bool:
    try:
        label = source[row]["label"]
    except VideoError:
        return True  # is listed where it is decoded
    return label < 0 or labels[label] is not None


def _mapped_mirrors(
    flip_labels: Sequence[int] | None,
    labels: Sequence[int | None],
    classes: Sequence[str],
) -> tuple[int, ...] | None:
    if flip_labels is None:
        return None
    named, found = mirrored.of_names(classes), {}
    for label, mirror in zip(labels, flip_labels, strict=True):
        other = None if mirror == mirrored.NO_MIRROR else labels[mirror]
        if label is not None:
            found[label] = mirrored.NO_MIRROR if other is None else other
            # Its mirror image may be a class that only the run has.
            if mirror == mirrored.NO_MIRROR and named[label] not in labels:
                found[label] = named[label]
    # Of classes that the split has not, the names say it, unless it says another.
    for label, mirror in enumerate(named):
        if label not in labels:
            other = found.get(mirror, label)
            found[label] = mirror if other == label else mirrored.NO_MIRROR
    return tuple(found[label] for label in range(len(classes)))


def _mapped_reverse(
    reversed_labels: Sequence[int] | None,
    labels: Sequence[int | None],
    classes: Sequence[str],
) -> tuple[int, ...] | None:
    """None where not all classes are known."""
    if reversed_labels is None or None in labels or len(labels) != len(classes):
        return None
    backwards = dict(zip(labels, reversed_labels, strict=True))
    return tuple(labels[backwards[number]] for number in range(len(classes)))
