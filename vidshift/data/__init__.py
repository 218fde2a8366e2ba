"""Videos to batches: datasets, decoding, sampling, cropping, loading.

Knows no model. A dataset's `Split` and a `View` go in, dicts of arrays come out.
"""

from vidshift.data.datasets import DATASETS, open_split
from vidshift.data.encoding import encode
from vidshift.data.loader import Batches, TooManyFailures, eval_batches, train_batches
from vidshift.data.motion_clips import OrderedMotion
from vidshift.data.on_device import IMAGENET_MEAN, IMAGENET_STD, normalise
from vidshift.data.split import Record, Split
from vidshift.data.video import VideoError, VideoInfo, decode, probe
from vidshift.data.view import View, clip_from_video

__all__ = [
    "DATASETS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Batches",
    "OrderedMotion",
    "Record",
    "Split",
    "TooManyFailures",
    "VideoError",
    "VideoInfo",
    "View",
    "clip_from_video",
    "decode",
    "encode",
    "eval_batches",
    "normalise",
    "open_split",
    "probe",
    "train_batches",
]
