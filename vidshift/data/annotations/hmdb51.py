"""HMDB-51: 6,766 clips of 51 human actions, mostly from films, in three splits.

To be had from Brown University's Serre Lab:
https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/, the videos
(`hmdb51_org.rar`, which holds an archive for each class) and the splits
(`test_train_splits.rar`):

    SOURCE/
      brush_hair/*.avi              or in hmdb51_org/ or videos/
      ...
      testTrainMulti_7030_splits/
        brush_hair_test_split1.txt  "FILE.avi 1": 1 trains, 2 tests, 0 does neither
        ...                         51 classes, splits 1 to 3

A clip that none of the splits uses is left out. Results are usually the mean of the
three splits'. A mirror image keeps its class.
"""

import pathlib

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train_1", "test_1", "train_2", "test_2", "train_3", "test_3")
LISTS = "testTrainMulti_7030_splits"


def read(source: pathlib.Path) -> Annotations:
    lists = media.folder(source, LISTS, f"test_train_splits/{LISTS}")
    reading.require(source)
    classes = sorted(
        {
            path.name.rpartition("_test_split")[0]
            for path in lists.glob("[!.]*_test_split[123].txt")
        }
    )
    if not classes:
        raise AnnotationError(f"{lists}: there is no CLASS_test_split1.txt")
    splits: dict[tuple[int, str], list[str]] = {}
    for label, name in enumerate(classes):
        for number in (1, 2, 3):
            path = reading.find(lists, f"{name}_test_split{number}.txt")
            for place, line in reading.lines(path):
                file, *use = line.rsplit(maxsplit=1)
                if use not in (["0"], ["1"], ["2"]):
                    raise AnnotationError(
                        f'{place}: must be "FILE 0", 1 or 2, got {line!r}'
                    )
                of = splits.setdefault((label, file), [])
                if any(other.endswith(str(number)) for other in of):
                    raise AnnotationError(f"{place}: {file} is in {of[-1]} already")
                if use != ["0"]:
                    of.append(f"{'train' if use == ['1'] else 'test'}_{number}")
    folders = (source, source / "hmdb51_org", source / "videos")
    folder = next(
        (each for each in folders if any((each / name).is_dir() for name in classes)),
        source,
    )
    clips = tuple(
        Clip(
            id=f"{classes[label]}/{file.removesuffix('.avi')}",
            path=folder / classes[label] / file,
            splits=tuple(of),
            label=label,
        )
        for (label, file), of in splits.items()
        if of
    )
    return Annotations(clips, tuple(classes), flip_labels=mirrored.unchanged(classes))


DATASET = VideoDataset(
    read,
    SPLITS,
    counts=dict(zip(SPLITS, (3_570, 1_530) * 3)),
    num_classes=51,
)
