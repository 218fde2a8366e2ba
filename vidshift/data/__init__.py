"""Videos to batches: datasets, decoding, sampling, cropping, loading.

Knows no model. A dataset's `Split` and a `View` go in, dicts of arrays come out.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.data.datasets import DATASETS, open_split
    from vidshift.data.encoding import encode
    from vidshift.data.loader import (
        Batches,
        TooManyFailures,
        eval_batches,
        train_batches,
    )
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

__getattr__, __dir__ = lazy.attributes(
    __name__,
    {
        "DATASETS": "vidshift.data.datasets",
        "IMAGENET_MEAN": "vidshift.data.on_device",
        "IMAGENET_STD": "vidshift.data.on_device",
        "Batches": "vidshift.data.loader",
        "OrderedMotion": "vidshift.data.motion_clips",
        "Record": "vidshift.data.split",
        "Split": "vidshift.data.split",
        "TooManyFailures": "vidshift.data.loader",
        "VideoError": "vidshift.data.video",
        "VideoInfo": "vidshift.data.video",
        "View": "vidshift.data.view",
        "clip_from_video": "vidshift.data.view",
        "decode": "vidshift.data.video",
        "encode": "vidshift.data.encoding",
        "eval_batches": "vidshift.data.loader",
        "normalise": "vidshift.data.on_device",
        "open_split": "vidshift.data.datasets",
        "probe": "vidshift.data.video",
        "train_batches": "vidshift.data.loader",
    },
)
