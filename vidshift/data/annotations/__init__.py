"""Readers of the annotations that data sets are distributed with, by name."""

import types

from vidshift.data.annotations import (
    charades,
    diving48,
    epic_kitchens100,
    folder,
    hmdb51,
    jester,
    kinetics400,
    moments,
    something_v1,
    something_v2,
    ucf101,
)
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip

# Each has `read(source, **options) -> Annotations`, SPLITS, COUNTS (of the clips of each
# split, where the publishers say), and in its docstring the files that it expects.
DATASETS: dict[str, types.ModuleType] = {
    "something_v1": something_v1,
    "something_v2": something_v2,
    "kinetics400": kinetics400,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "jester": jester,
    "moments": moments,
    "diving48": diving48,
    "epic_kitchens100": epic_kitchens100,
    "charades": charades,
    "folder": folder,
}

__all__ = ["DATASETS", "AnnotationError", "Annotations", "Clip"]
