"""A run joined with data: every command opens a run's split here, and compares classes.

A network knows its classes by number, so the data must have the same names in the same
order; `map_classes` takes the data's labels by their names instead.
"""

import dataclasses
import pathlib
import sys

from vidshift.class_names import clean, difference, listed
from vidshift.data.annotations import mirrored
from vidshift.data.sources import relabel
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.split import Split

# What descriptions say that were written before there were others.
BEFORE = {"multi_label": False, "tasks": {}}


def open_run_split(
    checkpoint: pathlib.Path,
    description: dict,
    split: str,
    *,
    data_dir: str | None = None,
    map_classes: bool = False,
    dash: str = "-",
) -> Split:
    """Opens a split of a run's data set, whose labels are those of the run's network.

    Args:
      checkpoint: of the run.
      description: of the checkpoint.
      split: of the data set.
      data_dir: where the data set lies; None: where it lay in training.
      map_classes: take labels by name where the lists of classes differ; clips of a
        class that the run has not are left out, and counted.
      dash: in the names of the command's flags, for errors.

    Raises:
      ValueError: there is no such folder or split, or the data have other classes than
        the run; it names what differs.
    """
    stored = description["config"]["data"]
    folder = data_dir or stored["dir"]
    if not pathlib.Path(folder).expanduser().is_dir():
        raise ValueError(f"there is no folder {folder}: give --data{dash}dir")
    part = open_split(stored["name"], split, data_dir=folder, options=stored["options"])
    part = _of_run(part, checkpoint, description, folder, map_classes, dash)
    # Pairs of the run's classes, which only now the split has.
    pairs = stored.get("mirror", ())
    flip_labels = part.flip_labels
    if pairs:
        flip_labels = mirrored.with_pairs(part.classes, flip_labels, pairs)
    return dataclasses.replace(part, flip_labels=flip_labels)


def _of_run(
    part: Split,
    checkpoint: pathlib.Path,
    description: dict,
    folder: str,
    map_classes: bool,
    dash: str,
) -> Split:
    """The split with the run's classes; raises where it has others."""
    stored = description["config"]["data"]
    where = f"{stored['name']} in {folder}"
    for field, none in BEFORE.items():
        theirs, ours = description.get(field, none), getattr(part, field)
        if dict(theirs) != dict(ours) if field == "tasks" else theirs != ours:
            raise ValueError(
                f"{checkpoint} was trained with {field}={theirs}, and {where} has "
                f"{field}={ours}"
            )
    classes = tuple(description["classes"])
    if len(classes) == len(part.classes) and _unnamed(checkpoint, classes):
        print(
            f"{checkpoint} has no names of classes: its {len(classes)} are taken in the "
            f"order of {where}",
            file=sys.stderr,
        )
        return part
    differs = difference(classes, part.classes, us="the run", them="the data set")
    if not differs:
        return part
    message = f"{checkpoint} and {where} have other classes: {differs}"
    known, theirs = set(map(clean, classes)), set(map(clean, part.classes))
    if part.tasks or len(known) < len(classes) or not known & theirs:
        raise ValueError(message)
    if not map_classes:
        raise ValueError(f"{message}; --map{dash}classes takes them by name")
    print(f"{message}; taken by name", file=sys.stderr)
    mapped = relabel.by_name(part, classes)
    if unknown := [name for name in part.classes if clean(name) not in known]:
        clips, kept = len(part.source), len(mapped.source)
        what = "labels" if part.multi_label else f"{clips - kept:,} of {clips:,} clips"
        print(
            f"left out, as the run has no such class: {what}, of {listed(unknown)}",
            file=sys.stderr,
        )
    if not len(mapped.source):
        raise ValueError(f"{message}; no clip of the split has a class of the run")
    return mapped


def _unnamed(checkpoint: pathlib.Path, classes: tuple[str, ...]) -> bool:
    """Whether a checkpoint was converted without names: numbers stand for its classes."""
    numbers = tuple(str(number) for number in range(len(classes)))
    return classes == numbers and not (checkpoint / "training").is_dir()
