"""A data set of clips with two labels each, for `train.py` and `eval.py`.

    python -m tests.support.several_labels train.py --config.data.name=several_labels

The clips are those of `ordered_motion`; the labels are a clip's class and its pair,
which is a class of its own and does not depend on the order of frames.
"""

import dataclasses
import runpy
import sys

from vidshift.data.records.record import Record
from vidshift.data.sources import motion_clips, ordered_motion
from vidshift.data.sources.datasets import DATASETS, Dataset
from vidshift.data.sources.split import Split
from vidshift.tasks import MULTI_LABEL

ORDERS = len(motion_clips.CLASSES)
PAIRS = tuple(" or ".join(pair) for pair in motion_clips.PAIRS)


class TwoLabels:
    """The records of a source with a label for the pair too."""

    def __init__(self, source):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, row: int) -> Record:
        record = self._source[row]
        label = record["label"]
        return record | {"label": (label, ORDERS + label // 2)}


def open_split(split: str, *, data_dir: str, options=None) -> Split:
    one = ordered_motion.open_split(split, data_dir=data_dir, options=options)
    return dataclasses.replace(
        one,
        source=TwoLabels(one.source),
        classes=one.classes + PAIRS,
        flip_labels=one.flip_labels + tuple(range(ORDERS, ORDERS + len(PAIRS))),
        reversed_labels=None,
        task=MULTI_LABEL,
    )


if __name__ == "__main__":
    DATASETS["several_labels"] = Dataset(
        motion_clips.SPLITS, motion_clips.OrderedMotion, open_split
    )
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
