"""Data sets of videos by name, as they are distributed."""

from vidshift.data.annotations import (
    arrow_of_time,
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
from vidshift.data.annotations.dataset import VideoDataset

DATASETS: dict[str, VideoDataset] = {
    "something_v1": something_v1.DATASET,
    "something_v2": something_v2.DATASET,
    "kinetics400": kinetics400.DATASET,
    "ucf101": ucf101.DATASET,
    "hmdb51": hmdb51.DATASET,
    "jester": jester.DATASET,
    "moments": moments.DATASET,
    "diving48": diving48.DATASET,
    "epic_kitchens100": epic_kitchens100.DATASET,
    "charades": charades.DATASET,
    "folder": folder.DATASET,
    "arrow_of_time": arrow_of_time.DATASET,
}

__all__ = ["DATASETS", "AnnotationError", "Annotations", "Clip", "VideoDataset"]
