"""UCF-101: 13,320 clips of 101 human actions, from YouTube, in three splits.

To be had from the University of Central Florida: https://www.crcv.ucf.edu/data/UCF101.php,
the videos (`UCF101.rar`) and "The Train/Test Splits for Action Recognition"
(`UCF101TrainTestSplits-RecognitionTask.zip`):

    SOURCE/
      UCF-101/
        ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi, ...
        ...
      ucfTrainTestlist/
        classInd.txt                "1 ApplyEyeMakeup" a line
        trainlist01.txt             "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
        testlist01.txt              "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"
        trainlist02.txt, testlist02.txt, trainlist03.txt, testlist03.txt

Results are usually the mean of the three splits'. A mirror image keeps its class.
"""

import pathlib

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train_1", "test_1", "train_2", "test_2", "train_3", "test_3")


def read(source: pathlib.Path) -> Annotations:
    classes = _classes(reading.find(source, "ucfTrainTestlist/classInd.txt"))
    labels = {name: label for label, name in enumerate(classes)}
    splits: dict[str, list[str]] = {}
    for split in SPLITS:
        part, number = split.split("_")
        path = reading.find(source, f"ucfTrainTestlist/{part}list0{number}.txt")
        for place, line in reading.lines(path):
            # Copies go about whose test lists have the class's number too.
            file, *number_listed = line.split()
            name, slash, _ = file.partition("/")
            if not slash:
                raise AnnotationError(f"{place}: must be CLASS/FILE, got {line!r}")
            label = reading.label_of(name, labels, place)
            if number_listed not in ([], [str(label + 1)]):
                raise AnnotationError(
                    f"{place}: {name} is class {label + 1}, got {line!r}"
                )
            of = splits.setdefault(file, [])
            if any(other.endswith(number) for other in of):
                raise AnnotationError(f"{place}: {file} is in {of[-1]} already")
            of.append(split)
    folder = media.folder(source, "UCF-101")
    clips = tuple(
        Clip(
            id=file.removesuffix(".avi"),
            path=folder / file,
            splits=tuple(of),
            label=labels[file.partition("/")[0]],
        )
        for file, of in splits.items()
    )
    return Annotations(clips, classes, flip_labels=mirrored.unchanged(classes))


def _classes(path: pathlib.Path) -> tuple[str, ...]:
    classes = []
    for place, line in reading.lines(path):
        number, *name = line.split(maxsplit=1)
        if not name or number != str(len(classes) + 1):
            raise AnnotationError(
                f'{place}: must be "{len(classes) + 1} CLASS", got {line!r}'
            )
        classes += name
    reading.numbered(classes, path)
    return tuple(classes)


DATASET = VideoDataset(
    read,
    SPLITS,
    counts=dict(zip(SPLITS, (9_537, 3_783, 9_586, 3_734, 9_624, 3_696))),
    num_classes=101,
)
