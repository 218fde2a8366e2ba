"""Split of a dataset, as the loader sees it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from vidshift.data.annotations import mirrored
from vidshift.data.media import video
from vidshift.data.records.record import Record
from vidshift.data.records.tfds_rows import TfdsRows
from vidshift.tasks import SINGLE_LABEL, Task


@runtime_checkable
class Source(Protocol):
    """Records by row; called by several threads at once.

    A record that cannot be read is a VideoError. For worker processes a source can be
    pickled. It may have a method `where(row) -> str`, the name of a record that cannot be
    read.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Record: ...


def where(source: Source, row: int) -> str:
    """Names a record without reading it."""
    own = getattr(source, "where", None)
    return own(row) if own else f"row {row}"


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    source: Source
    # Name of each label.
    classes: tuple[str, ...]
    # Label of the mirror image of a clip, for each label; None: never flip. A dataset
    # where a mirror image keeps its class has (0, 1, 2, ...). NO_MIRROR: it is none of
    # the classes, so that nothing can be flipped.
    flip_labels: tuple[int, ...] | None = None
    # Label of a clip played backwards, for each label; None: it has none.
    reversed_labels: tuple[int, ...] | None = None
    # (a record's file, frame numbers, name=its id) -> frames uint8 [N, H, W, 3];
    # `images.decode` where records are images. Where a view's pixel_aspect is not "ignore",
    # it is given that too.
    decode: Callable = video.decode
    # The kind of label; a record's label, and what a batch has of it, are of this kind.
    task: Task = SINGLE_LABEL
    # What a frame is: a name in `prepared.MODALITIES`, and how many flow pictures or
    # differences go into one.
    modality: str = "rgb"
    stack: int = 1

    def check_flip(self, instead: str) -> None:
        """Raises where a clip's mirror image may be of none of the classes.

        Args:
          instead: what to do where nothing should be flipped.

        Raises:
          ValueError: naming the classes.
        """
        without = mirrored.without_mirror(self.classes, self.flip_labels)
        if without:
            raise ValueError(
                f"clips cannot be flipped, as {mirrored.why_none(without)}: {instead}, or "
                "say what it is (the class itself, if it looks the same), to vidshift train by "
                f"--config.data.mirror=\"('{without[0]}=CLASS',)\" or to "
                f'vidshift prepare by --mirror="{without[0]}=CLASS"'
            )

    @property
    def channels(self) -> int:
        """Channels of a frame as a network takes it."""
        return self.stack * (2 if self.modality == "flow" else 3)

    @property
    def decoded_channels(self) -> int:
        """Channels of a frame from `decode`: a difference is taken on the device."""
        return self.channels + (3 if self.modality == "rgb_diff" else 0)


@dataclasses.dataclass(frozen=True, slots=True)
class TfdsSource:
    """The records of a TFDS split, in plain Python types."""

    records: TfdsRows
    # (a record as TFDS gives it, its row) -> Record
    plain: Callable[[Mapping[str, Any], int], Record]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> Record:
        return self.plain(self.records[row], row)

    def where(self, row: int) -> str:
        return self.records.where(row)
