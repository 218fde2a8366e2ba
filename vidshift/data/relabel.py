"""A split whose labels are the numbers of another list of classes, by name."""

import dataclasses
from collections.abc import Sequence

from vidshift.class_names import clean
from vidshift.data import split as splits
from vidshift.data.annotations import mirrored
from vidshift.data.split import Record, Source, Split


@dataclasses.dataclass(frozen=True, slots=True)
class Relabelled:
    """Records of a source with other labels."""

    source: Source
    # The new label of each old one.
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> Record:
        record = self.source[row]
        label = record["label"]
        if isinstance(label, tuple):
            label = tuple(self.labels[number] for number in label)
        elif label >= 0:  # else the clip has none
            label = self.labels[label]
        return record | {"label": label}

    def where(self, row: int) -> str:
        return splits.where(self.source, row)


def by_name(split: Split, classes: Sequence[str]) -> Split:
    """Returns the split with labels that are the numbers of the same names in `classes`.

    Args:
      split: of one task.
      classes: has all names of the split's classes, in any order, and maybe more.

    Raises:
      KeyError: a class of the split is none of `classes`.
    """
    numbers = {clean(name): number for number, name in enumerate(classes)}
    labels = tuple(numbers[clean(name)] for name in split.classes)
    flip_labels = split.flip_labels
    if flip_labels is not None:
        # Of classes that the split has not, the names say it.
        made = list(mirrored.of_names(classes))
        for label, mirror in zip(labels, flip_labels, strict=True):
            if mirror != mirrored.NO_MIRROR:
                made[label] = labels[mirror]
        flip_labels = tuple(made)
    reversed_labels = None
    if split.reversed_labels is not None and len(labels) == len(classes):
        backwards = dict(zip(labels, split.reversed_labels, strict=True))
        reversed_labels = tuple(labels[backwards[n]] for n in range(len(classes)))
    return dataclasses.replace(
        split,
        source=Relabelled(split.source, labels),
        classes=tuple(classes),
        flip_labels=flip_labels,
        reversed_labels=reversed_labels,
    )
