"""The datasets by name."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vidshift.data import annotations
from vidshift.data.sources import (
    arrow_of_time,
    image_folder,
    motion_clips,
    ordered_motion,
    prepared,
    tfds_images,
)
from vidshift.data.sources.split import Split


class Dataset(NamedTuple):
    splits: tuple[str, ...]
    # Dataclass of the dataset's own options.
    options: type
    # (split, data_dir=..., options=...) -> Split, building what is missing.
    open: Callable[..., Split]


def _prepared(name: str, dataset: annotations.VideoDataset) -> Dataset:
    """Videos, once `vidshift prepare` has made records of them."""
    open_split = functools.partial(prepared.open_split, name)
    return Dataset(dataset.splits, prepared.Prepared, open_split)


DATASETS: dict[str, Dataset] = {
    "ordered_motion": Dataset(
        motion_clips.SPLITS, motion_clips.OrderedMotion, ordered_motion.open_split
    ),
    "image_folder": Dataset(
        image_folder.SPLITS, image_folder.ImageFolder, image_folder.open_split
    ),
    "tfds_images": Dataset(
        tfds_images.SPLITS, tfds_images.TfdsImages, tfds_images.open_split
    ),
    **{name: _prepared(name, it) for name, it in annotations.DATASETS.items()},
    arrow_of_time.NAME: Dataset(
        annotations.arrow_of_time.SPLITS,
        arrow_of_time.ArrowOfTime,
        arrow_of_time.open_split,
    ),
}


def register(name: str, dataset: annotations.VideoDataset) -> None:
    """Adds a data set of videos: `prepare` and `fit` know it too from then on.

    Raises:
      ValueError: there is one of that name.
    """
    if name in DATASETS:
        raise ValueError(f"there is a dataset named {name!r} already")
    annotations.DATASETS[name] = dataset
    DATASETS[name] = _prepared(name, dataset)


def open_split(
    name: str,
    split: str,
    *,
    data_dir: str,
    options: Any = None,
    mirror: Sequence[str] = (),
) -> Split:
    """Opens a split of a dataset, building the dataset first where it is missing.

    Args:
      name: one of DATASETS.
      split: one of the dataset's.
      data_dir: folder of all datasets.
      options: the dataset's own options (`OrderedMotion`), or a dict of its fields, as
        a checkpoint stores it; None for the defaults.
      mirror: "swipe left=swipe right", pairs of classes that are each other's mirror
        image, beside those that the data set says.

    Raises:
      ValueError: unknown name, split or option, an option out of range, or a pair of
        anything but two classes.
    """
    if name not in DATASETS:
        raise ValueError(f"no dataset named {name!r}{_instead(name, DATASETS)}")
    dataset = DATASETS[name]
    if split not in dataset.splits:
        raise ValueError(
            f"{name} has no split named {split!r}{_instead(split, dataset.splits)}"
        )
    if isinstance(options, Mapping):
        known = [field.name for field in dataclasses.fields(dataset.options)]
        for field in options:
            if field not in known:
                raise ValueError(
                    f"{name} has no option named {field!r}{_instead(field, known)}"
                )
        options = dataset.options(**options)
    if options is not None and type(options) is not dataset.options:
        raise ValueError(
            f"{name} takes options of the type {dataset.options.__name__}, got {options!r}"
        )
    folder = os.path.expanduser(data_dir)
    found = dataset.open(split, data_dir=folder, options=options)
    if not mirror:
        return found
    pairs = annotations.mirrored.with_pairs(found.classes, found.flip_labels, mirror)
    return dataclasses.replace(found, flip_labels=pairs)


def _instead(got: str, names) -> str:
    nearest = difflib.get_close_matches(got, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{hint}; there are: {', '.join(names)}"
