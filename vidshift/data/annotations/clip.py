"""Annotations of a data set, whatever their format: clips, labels, splits."""

import dataclasses
import pathlib

from vidshift.tasks import SINGLE_LABEL, Task


class AnnotationError(ValueError):
    """Annotations that cannot be read: one line that names the file and says why."""


# The label of a clip of a test whose labels were never published: it can be scored, for
# a server that knows them, and nothing else.
UNLABELLED = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Playback:
    """Frames that a clip takes of its part of a video, and their order."""

    frames: int
    # Frames a second at speed 1; those nearest to these times are taken.
    rate: float
    # Short side of what is stored, pixels.
    side: int
    # Speeds at which the same part is played by the clips that go with this one; they are
    # kept or left out together.
    speeds: tuple[int, ...]
    speed: int = 1
    is_reversed: bool = False

    @property
    def seconds(self) -> float:
        """From the first frame to the last, at the highest of the speeds."""
        return (self.frames - 1) * max(self.speeds) / self.rate


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    # Unique among the data set's clips; names the clip in messages and hashes.
    id: str
    # A video file, or a folder with an image for each frame, in the order of the names'
    # numbers. It need not be there: clips that are missing are counted and named.
    path: pathlib.Path
    # Names of the splits that it is in, in the data set's order; several where a data set
    # has several ways to be split (`train_1`, `test_2`), and then it is stored once.
    splits: tuple[str, ...]
    # A class number, or UNLABELLED; of a multi-label data set a tuple of any number of them, of a
    # multi-task one a number for each task.
    label: int | tuple[int, ...]
    # The part of the video, seconds from its first frame; None: from the first, to the
    # last frame.
    start: float | None = None
    end: float | None = None
    # Of a multi-label data set: when each label holds, (start, end) in seconds from the
    # clip's first frame, in the order of `label`; None: all of the time.
    spans: tuple[tuple[float, float], ...] | None = None
    # Frames a second of a folder of images, which does not say.
    fps: float | None = None
    # None: every frame of the part, in their order.
    playback: Playback | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Annotations:
    # In the order of the annotations' files.
    clips: tuple[Clip, ...]
    # Name of each class; of a multi-task data set, those of all tasks one after another.
    classes: tuple[str, ...]
    # Class of the mirror image of a clip, for each class; None: never flip.
    flip_labels: tuple[int, ...] | None = None
    task: Task = SINGLE_LABEL
    # What a user should know of how they were read, a line each.
    warnings: tuple[str, ...] = ()
