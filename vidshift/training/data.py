"""The data of a training run: its splits, opened and checked, and its numbers of steps."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from vidshift.class_names import listed
from vidshift.config import Config
from vidshift.data.annotations import mirrored
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.split import Split


class TrainingData(NamedTuple):
    train: Split
    # Name of a split -> the split.
    open: Callable[[str], Split]
    steps: int
    # A fraction where the clips are no multiple of the batch.
    steps_per_epoch: float
    # Steps between two validations.
    validate_steps: int


def open_data(
    config: Config, *, crops: int | str, say: Callable[[str], None]
) -> TrainingData:
    """Opens a config's splits, building the data set first where it is missing.

    Args:
      crops: of the protocol that validates.

    Raises:
      ValueError: a wrong name, or classes that cannot be trained or mirrored.
    """
    open_ = functools.partial(
        open_split,
        config.data.name,
        data_dir=config.data.dir,
        options=config.data.options,
        mirror=config.data.mirror,
    )
    train = open_(config.data.train_split)
    flips = {"flip": config.data.flip, "flip_paired": config.data.flip_paired}
    if line := check_classes(train, crops=crops, **flips):
        say(line)
    train.task.check(config)
    for name in (config.data.validation_split, config.data.test_split):
        if name:
            open_(name)  # a wrong name fails now, not after the training
    steps_per_epoch = len(train.source) / config.batch_size
    return TrainingData(
        train,
        open_,
        config.steps or round(config.epochs * steps_per_epoch),
        steps_per_epoch,
        max(1, round(config.validate_epochs * steps_per_epoch)),
    )


def check_classes(
    data: Split, *, flip: bool, flip_paired: bool = True, crops: int | str
) -> str:
    """Refuses classes that cannot be told apart, or not be mirrored where they should be.

    Args:
      data: the split that is trained on.
      flip: whether training clips are flipped.
      flip_paired: whether those are too whose class a mirror image changes.
      crops: of the protocol that validates; 10 have mirror images.

    Returns:
      A line that says which classes a mirror image swaps, or whose clips are not flipped
      for it; "" where it swaps none.

    Raises:
      ValueError: naming the classes and what to change.
    """
    if len(data.classes) < data.task.fewest_classes:
        raise ValueError(
            f"the data have one class, {data.classes[0]!r}, so that every answer is "
            "right: a class of its own is needed for each thing to tell apart (a folder, "
            "or a label of the table)"
        )
    swapped = flip and flip_paired
    if swapped:
        data.check_flip("train with --config.data.flip=false")
    if crops == 10:
        data.check_flip("choose a --config.protocol of fewer crops")
    labels = sorted(mirrored.changed(data.flip_labels)) if flip and not swapped else ()
    if labels:
        names = listed([data.classes[label] for label in labels])
        return f"clips of these classes are not flipped: {names}"
    swaps = swapped or crops == 10
    swaps = mirrored.swaps(data.classes, data.flip_labels) if swaps else ""
    return swaps and f"a mirror image swaps the classes {swaps}"
