"""The datasets by name."""

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

from vidshift.data import motion_clips, ordered_motion
from vidshift.data.split import Split


class Dataset(NamedTuple):
    splits: tuple[str, ...]
    # (split, data_dir=..., options=...) -> Split, building what is missing.
    open: Callable[..., Split]


DATASETS: dict[str, Dataset] = {
    "ordered_motion": Dataset(motion_clips.SPLITS, ordered_motion.open_split),
}


def open_split(name: str, split: str, *, data_dir: str, options: Any = None) -> Split:
    """Opens a split of a dataset, building the dataset first where it is missing.

    Args:
      name: one of DATASETS.
      split: one of the dataset's.
      data_dir: folder of all datasets.
      options: the dataset's own options (`OrderedMotion`); None for its defaults.

    Raises:
      ValueError: unknown name or split, or an option out of range.
    """
    if name not in DATASETS:
        raise ValueError(f"no dataset named {name!r}{_instead(name, DATASETS)}")
    dataset = DATASETS[name]
    if split not in dataset.splits:
        raise ValueError(
            f"{name} has no split named {split!r}{_instead(split, dataset.splits)}"
        )
    return dataset.open(split, data_dir=data_dir, options=options)


def _instead(got: str, names) -> str:
    nearest = difflib.get_close_matches(got, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{hint}; there are: {', '.join(names)}"
