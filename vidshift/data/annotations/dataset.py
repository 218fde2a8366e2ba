"""A data set of videos, known before any of it lies on a disk."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from vidshift.data.annotations.clip import Annotations
from vidshift.tasks import SINGLE_LABEL, Task


@dataclasses.dataclass(frozen=True, slots=True)
class VideoDataset:
    # (source, **options) -> Annotations; the docstring of its module names the files
    # that it expects below the source.
    read: Callable[..., Annotations]
    splits: tuple[str, ...]
    # Clips of each split, where the publishers say.
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    # None: not known before the user's folder is read.
    num_classes: int | None = None
    task: Task = SINGLE_LABEL
    # Forms in which it can be prepared, in vidshift.data.records.storage; the first is the
    # default.
    storages: tuple[str, ...] = ("fast", "copy", "frames")
    # (a test clip's id, its five best labels, names of all classes) -> the line that the
    # data set's server takes, where the labels of the test are not public.
    submission: Callable[[str, Sequence[int], Sequence[str]], str] | None = None
