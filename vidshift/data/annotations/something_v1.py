"""Something-Something V1: 108,499 clips of 174 things done with everyday objects.

To be had from Qualcomm, who took it over from Twenty Billion Neurons, with a form to
fill in: https://www.qualcomm.com/developer/artificial-intelligence/datasets. The parts of
the archive are joined and unpacked as its page says:

    SOURCE/
      something-something-v1-labels.csv         a class a line
      something-something-v1-train.csv          "id;class" a line
      something-something-v1-validation.csv
      something-something-v1-test.csv           an id a line; may be left out
      20bn-something-something-v1/
        1/00001.jpg, 00002.jpg, ...             frames, 12 a second
        2/...

The lists may also lie in `labels/` or `annotations/`. The test's labels were never
published: its clips are for a submission (`eval.py --submission`). Clips may be
mirrored, with the class of the mirror image.
"""

import pathlib

from vidshift.data.annotations import frame_lists, mirrored
from vidshift.data.annotations.clip import Annotations
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "validation", "test")


def read(source: pathlib.Path) -> Annotations:
    return frame_lists.read(
        source,
        name="something-something-v1",
        splits=SPLITS[:2],
        frames="20bn-something-something-v1",
        words=mirrored.SIDES,
    )


DATASET = VideoDataset(
    read,
    SPLITS,
    counts={"train": 86_017, "validation": 11_522, "test": 10_960},
    num_classes=174,
    submission=frame_lists.submission,
)
