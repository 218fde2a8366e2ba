"""Moments in Time: three-second clips of 339 (version 1) or 305 (version 2) happenings.

To be had from MIT, with a form to fill in: http://moments.csail.mit.edu. The archive
unpacks to `Moments_in_Time_Raw/` or `Moments_in_Time_256x256_30fps/`, which is SOURCE:

    SOURCE/
      moments_categories.txt        "clapping,41" a line
      trainingSet.csv               "clapping/FILE.mp4,clapping,3,1" a line: file,
      validationSet.csv             class, and who agreed and who did not
      training/clapping/FILE.mp4, ...
      validation/clapping/FILE.mp4, ...

The test's labels are not published. A mirror image keeps its class.
"""

import pathlib

from vidshift.data.annotations import mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "validation")


def read(source: pathlib.Path) -> Annotations:
    classes = _classes(reading.find(source, "moments_categories.txt"))
    labels = {name: label for label, name in enumerate(classes)}
    clips = {}
    for split, folder in zip(SPLITS, ("training", "validation")):
        path = reading.find(source, f"{folder}Set.csv")
        for place, row in reading.rows(path):
            if len(row) < 2:
                raise AnnotationError(
                    f"{place}: must be FILE,CLASS,..., got {row[0]!r}"
                )
            file, name = row[:2]
            clip = Clip(
                id=f"{folder}/{pathlib.PurePosixPath(file).with_suffix('')}",
                path=source / folder / file,
                splits=(split,),
                label=reading.label_of(name, labels, place),
            )
            reading.add(clips, clip, place)
    return Annotations(
        tuple(clips.values()), classes, flip_labels=mirrored.unchanged(classes)
    )


def _classes(path: pathlib.Path) -> tuple[str, ...]:
    classes = []
    for place, line in reading.lines(path):
        name, comma, label = line.rpartition(",")
        if not comma:
            raise AnnotationError(f"{place}: must be CLASS,NUMBER, got {line!r}")
        number = reading.number(label, place, "the class's number")
        classes.append((number, name.strip()))
    return reading.in_order(classes, path)


DATASET = VideoDataset(
    read,
    SPLITS,
    # Version 1's.
    counts={"train": 802_244, "validation": 33_900},
    num_classes=339,
)
