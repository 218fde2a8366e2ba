"""Lists of "id;label" and a folder of frames for each id.

The format of the data sets that Twenty Billion Neurons published first.
"""

import functools
import pathlib
from collections.abc import Mapping, Sequence

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import (
    UNLABELLED,
    AnnotationError,
    Annotations,
    Clip,
)
from vidshift.data.annotations.dataset import VideoDataset

# Of the frames, as both data sets' descriptions say.
FPS = 12.0


def dataset(
    counts: Mapping[str, int],
    num_classes: int,
    *,
    name: str,
    frames: str,
    words: Mapping[str, str],
) -> VideoDataset:
    """Describes a data set whose test has no public labels.

    Args:
      counts: clips of each split, the test last.
      num_classes: of the data set.
      name, frames, words: as in `read`.
    """
    splits = tuple(counts)
    lists = {"name": name, "splits": splits[:-1], "frames": frames, "words": words}
    reader = functools.partial(read, **lists)
    return VideoDataset(reader, splits, counts, num_classes, submission=_submission)


def read(
    source: pathlib.Path,
    *,
    name: str,
    splits: tuple[str, ...],
    frames: str,
    words: Mapping[str, str],
) -> Annotations:
    """Reads `NAME-labels.csv` and `NAME-SPLIT.csv`.

    Args:
      splits: those with labels. The test's list, which has an id a line, is read where
        it is there.
      frames: the folder that holds a folder `ID` for each clip.
      words: those that a mirror image swaps in a class's name.
    """

    def places(which: str) -> tuple[str, ...]:
        file = f"{name}-{which}.csv"
        return file, f"labels/{file}", f"annotations/{file}"

    def listed(which: str) -> pathlib.Path:
        return reading.find(source, *places(which))

    classes = tuple(label for _, label in reading.lines(listed("labels")))
    labels = reading.numbered(classes, listed("labels"))
    folder = media.folder(source, frames)
    clips = {}
    for split in splits:
        for place, line in reading.lines(listed(split)):
            id, separator, label = line.partition(";")
            if not separator:
                raise AnnotationError(f'{place}: must be "id;label", got {line!r}')
            number = reading.label_of(label, labels, place)
            clip = Clip(id, folder / id, (split,), number, fps=FPS)
            reading.add(clips, clip, place)
    if test := reading.optional(source, *places("test")):
        for place, id in reading.lines(test):
            clip = Clip(id, folder / id, ("test",), UNLABELLED, fps=FPS)
            reading.add(clips, clip, place)
    return Annotations(
        clips=tuple(clips.values()),
        classes=classes,
        flip_labels=mirrored.flip_labels(classes, words),
    )


def _submission(id: str, best: Sequence[int], classes: Sequence[str]) -> str:
    """Writes "id;class", as the server of both data sets takes it."""
    return f"{id};{classes[best[0]]}"
