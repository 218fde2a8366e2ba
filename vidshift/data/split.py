"""One split of a dataset, as the loader sees it."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, TypedDict, runtime_checkable

import numpy as np

from vidshift.data import video


class Record(TypedDict):
    # A video's or an image's file: its bytes, or the path to read them from.
    video: video.Source
    # A class number; of a multi-label split a tuple of them, which may be empty.
    label: int | tuple[int, ...]
    id: str
    # Of the video, so that frames can be chosen before it is opened.
    num_frames: int
    fps: float


@runtime_checkable
class Source(Protocol):
    """Records by row; called by several threads at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Record: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    source: Source
    # Name of each label.
    classes: tuple[str, ...]
    # Label of the mirror image of a clip, for each label; None: never flip. A dataset
    # where a mirror image keeps its class has (0, 1, 2, ...).
    flip_labels: tuple[int, ...] | None = None
    # Label of a clip played backwards, for each label; None: it has none.
    reversed_labels: tuple[int, ...] | None = None
    # (a record's file, frame numbers, name=its id) -> frames uint8 [N, H, W, 3];
    # `images.decode` where records are images.
    decode: Callable = video.decode
    # Whether a clip has any number of labels rather than one, as Charades' clips do.
    multi_label: bool = False

    def target(self, label: int | tuple[int, ...]) -> np.ndarray | np.int32:
        """What a batch has of a record's label.

        Returns:
          int32; of a multi-label split multi-hot, uint8 `[classes]`: 1 at its labels.

        Raises:
          ValueError: several labels where one is needed or the reverse, or no class.
        """
        if isinstance(label, tuple) != self.multi_label:
            needed = "a tuple of numbers" if self.multi_label else "one number"
            raise ValueError(
                f"a record's label must be {needed} where multi_label is "
                f"{self.multi_label}, got {label!r}"
            )
        if not self.multi_label:
            return np.int32(label)
        classes = len(self.classes)
        if not all(0 <= number < classes for number in label):
            raise ValueError(f"labels must be in [0, {classes}), got {label}")
        row = np.zeros(classes, np.uint8)
        row[list(label)] = 1
        return row


@dataclasses.dataclass(frozen=True, slots=True)
class TfdsSource:
    """The records of a TFDS data source, in plain Python types."""

    records: object

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> Record:
        # TFDS gives text as bytes, and numbers of any width.
        record = self.records[row]
        return Record(
            video=record["video"],
            label=int(record["label"]),
            id=record["id"].decode(),
            num_frames=int(record["num_frames"]),
            fps=float(record["fps"]),
        )
