"""Diving48: 18,000 dives of 48 kinds, which only the movement tells apart.

To be had from UC San Diego's SVCL:
http://www.svcl.ucsd.edu/projects/resound/dataset.html, the videos (`Diving48_rgb.tar.gz`)
and version 2 of the annotations, of 2020, whose labels were cleaned by hand:

    SOURCE/
      Diving48_vocab.json           [["Back", "15som", "05Twis", "FREE"], ...]
      Diving48_V2_train.json        [{"vid_name", "label", ...}]
      Diving48_V2_test.json
      rgb/2x00lRzlTVQ_00000.mp4, ...

The annotations may also lie in `annotations/` and the videos in `videos/`. A mirror image
keeps its class.
"""

import pathlib

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "test")


def read(source: pathlib.Path) -> Annotations:
    path = reading.find(source, *_names("vocab"))
    vocabulary = reading.parsed(path, list)
    if not all(isinstance(parts, list) for parts in vocabulary):
        raise AnnotationError(f"{path}: must hold a list of a dive's parts a class")
    classes = tuple(" ".join(map(str, parts)) for parts in vocabulary)
    reading.numbered(classes, path)
    folder = media.folder(source, "rgb", "videos")
    videos = media.by_stem(folder)
    clips = {}
    for split in SPLITS:
        path = reading.find(source, *_names(f"V2_{split}"))
        # `start_frame` is 0 and `end_frame` the number of frames: the files are cut.
        for place, entry in reading.objects(path, "vid_name", "label"):
            id = str(entry["vid_name"])
            label = reading.number(entry["label"], place, "label", len(classes))
            video = videos.get(id, folder / f"{id}.mp4")
            reading.add(clips, Clip(id, video, (split,), label), place)
    return Annotations(
        tuple(clips.values()), classes, flip_labels=mirrored.unchanged(classes)
    )


def _names(part: str) -> tuple[str, ...]:
    name = f"Diving48_{part}.json"
    return name, f"annotations/{name}"


DATASET = VideoDataset(
    read,
    SPLITS,
    counts={"train": 15_027, "test": 1_970},
    num_classes=48,
)
