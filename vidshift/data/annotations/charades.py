"""Charades: 9,848 clips of people at home, half a minute each, with 157 actions.

A clip has any number of actions, each with its time. To be had from the Allen Institute
for AI: https://prior.allenai.org/projects/charades, "Annotations & Evaluation Code"
(`Charades.zip`) and the data scaled to 480p (`Charades_v1_480.zip`), of original size
(`Charades_v1.zip`), or as frames, 24 a second (`Charades_v1_rgb.tar`):

    SOURCE/
      Charades/
        Charades_v1_train.csv       id,...,actions,length; an action is "c092 11.90 21.20"
        Charades_v1_test.csv
        Charades_v1_classes.txt     "c000 Holding some clothes" a line
      Charades_v1_480/46GP8.mp4, ...
                                    or Charades_v1/46GP8.mp4, ...
                                    or Charades_v1_rgb/46GP8/46GP8-000001.jpg, ...

The annotations may also lie in SOURCE. A mirror image keeps its actions.
"""

import pathlib

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset
from vidshift.tasks import MULTI_LABEL

SPLITS = ("train", "test")
FRAMES = "Charades_v1_rgb"
FPS = 24.0


def read(source: pathlib.Path) -> Annotations:
    codes = _codes(reading.find(source, *_names("classes.txt")))
    labels = {code: label for label, code in enumerate(codes)}
    folder = media.folder(source, "Charades_v1_480", "Charades_v1", FRAMES)
    fps = FPS if folder.name == FRAMES else None
    videos = {} if fps else media.by_stem(folder)
    clips = {}
    for split in SPLITS:
        path = reading.find(source, *_names(f"{split}.csv"))
        for place, row in reading.table(path, "id", "actions"):
            id = row["id"]
            actions = [
                _action(text, labels, place)
                for text in row["actions"].split(";")
                if text.strip()
            ]
            clip = Clip(
                id=id,
                path=folder / id if fps else videos.get(id, folder / f"{id}.mp4"),
                splits=(split,),
                label=tuple(label for label, _ in actions),
                spans=tuple(span for _, span in actions),
                fps=fps,
            )
            reading.add(clips, clip, place)
    classes = tuple(codes.values())
    return Annotations(
        clips=tuple(clips.values()),
        classes=classes,
        flip_labels=mirrored.unchanged(classes),
        task=MULTI_LABEL,
    )


def _names(name: str) -> tuple[str, ...]:
    return f"Charades/Charades_v1_{name}", f"Charades_v1_{name}"


def _codes(path: pathlib.Path) -> dict[str, str]:
    """The name of each class by its code ("c000"), in the order of the lines."""
    codes = {}
    for place, line in reading.lines(path):
        code, *name = line.split(maxsplit=1)
        if not name or code in codes:
            raise AnnotationError(f'{place}: must be a new "CODE NAME", got {line!r}')
        codes[code] = name[0]
    reading.numbered(list(codes), path)
    return codes


def _action(
    text: str, labels: dict[str, int], place: str
) -> tuple[int, tuple[float, float]]:
    fields = text.split()
    if len(fields) != 3:
        raise AnnotationError(
            f'{place}: an action must be "CODE START END", got {text!r}'
        )
    start, end = (
        reading.seconds(field, place, "an action's time") for field in fields[1:]
    )
    return reading.label_of(fields[0], labels, place), (start, end)


DATASET = VideoDataset(
    read,
    SPLITS,
    counts={"train": 7_985, "test": 1_863},
    num_classes=157,
    task=MULTI_LABEL,
)
