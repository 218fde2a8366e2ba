"""Something-Something V2: 220,847 clips of 174 things done with everyday objects.

To be had from Qualcomm, who took it over from Twenty Billion Neurons, with a form to
fill in: https://www.qualcomm.com/developer/software/something-something-v-2-dataset.
The parts of the archive are joined and unpacked as its page says:

    SOURCE/
      labels/
        labels.json                 {class: "number"}
        train.json                  [{"id", "template", ...}]
        validation.json
        test.json                   [{"id"}, ...]
        test-answers.csv            "id;class" a line
      20bn-something-something-v2/
        1.webm, 2.webm, ...

Earlier archives have `something-something-v2-labels.json` and so on, which lie in
SOURCE or in `labels/` too, and no answers to the test, whose clips are then for a
submission (`vidshift eval --submission`).
Clips may be mirrored, with the class of the mirror image.
"""

import pathlib
from collections.abc import Sequence

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import (
    UNLABELLED,
    AnnotationError,
    Annotations,
    Clip,
)
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "validation", "test")


def read(source: pathlib.Path) -> Annotations:
    classes = _classes(reading.find(source, *_names("labels.json")))
    labels = {name: label for label, name in enumerate(classes)}
    folder = media.folder(source, "20bn-something-something-v2")
    videos = media.by_stem(folder)
    clips = {}

    def add(id: str, split: str, name: str | None, place: str) -> None:
        label = UNLABELLED
        if name is not None:
            label = reading.label_of(name, labels, place)
        path = videos.get(id, folder / f"{id}.webm")
        reading.add(clips, Clip(id, path, (split,), label), place)

    for split in ("train", "validation"):
        path = reading.find(source, *_names(f"{split}.json"))
        for place, entry in reading.objects(path, "id", "template"):
            # "Pushing [something] off of [something]"
            name = str(entry["template"]).replace("[", "").replace("]", "")
            add(str(entry["id"]), split, name, place)
    answers = reading.optional(source, *_names("test-answers.csv"))
    test = reading.optional(source, *_names("test.json"))
    if answers:
        for place, line in reading.lines(answers):
            id, separator, name = line.partition(";")
            if not separator:
                raise AnnotationError(f'{place}: must be "id;label", got {line!r}')
            add(id, "test", name, place)
    elif test:
        for place, entry in reading.objects(test, "id"):
            add(str(entry["id"]), "test", None, place)
    return Annotations(
        clips=tuple(clips.values()),
        classes=classes,
        flip_labels=mirrored.flip_labels(classes),
    )


def _names(name: str) -> tuple[str, ...]:
    earlier = f"something-something-v2-{name}"
    return f"labels/{name}", name, f"labels/{earlier}", earlier


def _classes(path: pathlib.Path) -> tuple[str, ...]:
    numbers = reading.parsed(path, dict)
    classes = [
        (reading.number(label, f"{path}, {name!r}", "the number", len(numbers)), name)
        for name, label in numbers.items()
    ]
    return reading.in_order(classes, path)


def _submission(id: str, best: Sequence[int], classes: Sequence[str]) -> str:
    """Writes the numbers of the five best classes, as the official code of TSM does."""
    del classes
    return ";".join([id, *(str(label) for label in best)])


DATASET = VideoDataset(
    read,
    SPLITS,
    counts={"train": 168_913, "validation": 24_777, "test": 27_157},
    num_classes=174,
    submission=_submission,
)
