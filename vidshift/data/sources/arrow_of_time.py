"""Opens `arrow_of_time` with the label that a network is to learn.

A record has all of them: the direction and the speed that its window is played at, and
its place, a third of a video.
"""

import dataclasses
from typing import NamedTuple

from vidshift.data.annotations.arrow_of_time import DIRECTIONS, SPEED_NAMES
from vidshift.data.records.record import Record
from vidshift.data.sources import prepared
from vidshift.data.sources import split as splits
from vidshift.data.sources.prepared import Prepared
from vidshift.data.sources.split import Source, Split
from vidshift.tasks import SINGLE_LABEL, MultiTask, Task

NAME = "arrow_of_time"


class Label(NamedTuple):
    # Tasks of a record, in the order of the new label.
    of: tuple[str, ...]
    # None: as many as the user's videos have.
    classes: tuple[str, ...] | None
    task: Task
    # Label of a clip played backwards; of several tasks, that of the last one. None: each
    # class is its own.
    reversed_labels: tuple[int, ...] | None = None


LABELS = {
    "direction": Label(("direction",), DIRECTIONS, SINGLE_LABEL, (1, 0)),
    "speed": Label(("speed",), SPEED_NAMES, SINGLE_LABEL),
    # What is said without a task's name, and what the best checkpoint is chosen by, is
    # of the last one.
    "both": Label(
        ("speed", "direction"),
        SPEED_NAMES + DIRECTIONS,
        MultiTask({"speed": len(SPEED_NAMES), "direction": len(DIRECTIONS)}),
        (1, 0),
    ),
    "place": Label(("place",), None, SINGLE_LABEL),
}


@dataclasses.dataclass(slots=True)
class ArrowOfTime(Prepared):
    """The label that is read, and the preparation.

    A scheme that is blind to order has exactly 50 % of the directions where a test clip
    takes the same frames of both. With `sampling="segments"` that is so where the frames
    of a window are an odd multiple of `num_frames` (8 of 8, 8 of 24): then the middles of
    the segments are symmetric in time. The modality "rgb_diff" is not blind to order.
    """

    # A name in LABELS. "place" is a task of frames, not of order: which third of which
    # video, for networks that learned the others.
    label: str = "direction"


@dataclasses.dataclass(frozen=True, slots=True)
class SomeTasks:
    """Records of several tasks with the labels of some, by column."""

    source: Source
    columns: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> Record:
        record = self.source[row]
        label = tuple(record["label"][column] for column in self.columns)
        return record | {"label": label if len(label) > 1 else label[0]}

    def where(self, row: int) -> str:
        return splits.where(self.source, row)


def label_of(options: ArrowOfTime) -> Label:
    """Returns the label that options choose.

    Raises:
      ValueError: there is none of that name.
    """
    if options.label not in LABELS:
        raise ValueError(
            f"label must be one of {', '.join(LABELS)}, got {options.label!r}"
        )
    return LABELS[options.label]


def open_split(
    split: str, *, data_dir: str, options: ArrowOfTime | None = None
) -> Split:
    """Opens a split with one of its labels; errors as `prepared.open_split`."""
    options = options or ArrowOfTime()
    label = label_of(options)
    found = prepared.open_split(NAME, split, data_dir=data_dir, options=options)
    tasks = list(found.task.tasks)
    # The place's classes are the last ones, and the only ones that are not known before.
    classes = label.classes or found.classes[-found.task.tasks["place"] :]
    own = tuple(range(len(classes)))
    columns = tuple(map(tasks.index, label.of))
    return dataclasses.replace(
        found,
        source=SomeTasks(found.source, columns),
        classes=classes,
        flip_labels=own,
        reversed_labels=label.reversed_labels or own,
        task=label.task,
    )
