"""One split of a dataset, as the loader sees it."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, TypedDict, runtime_checkable

from vidshift.data import video


class Record(TypedDict):
    # A video's or an image's file: its bytes, or the path to read them from.
    video: video.Source
    label: int
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
