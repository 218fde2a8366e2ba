"""Videos to batches: datasets, decoding, sampling, cropping, loading.

Knows no model. A dataset's `Split` and a `View` go in, dicts of arrays come out.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.data.device.on_device import IMAGENET_MEAN, IMAGENET_STD, normalise
    from vidshift.data.loading.loader import (
        Batches,
        TooManyFailures,
        eval_batches,
        train_batches,
    )
    from vidshift.data.media.encoding import encode
    from vidshift.data.media.video import VideoError, VideoInfo, decode, probe
    from vidshift.data.records.record import Record
    from vidshift.data.sources.datasets import DATASETS, open_split, register
    from vidshift.data.sources.motion_clips import OrderedMotion
    from vidshift.data.sources.split import Split
    from vidshift.data.views.view import View, clip_from_video

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
    "register",
    "train_batches",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazy.attributes(
        __name__,
        {
            "DATASETS": "vidshift.data.sources.datasets",
            "IMAGENET_MEAN": "vidshift.data.device.on_device",
            "IMAGENET_STD": "vidshift.data.device.on_device",
            "Batches": "vidshift.data.loading.loader",
            "OrderedMotion": "vidshift.data.sources.motion_clips",
            "Record": "vidshift.data.records.record",
            "Split": "vidshift.data.sources.split",
            "TooManyFailures": "vidshift.data.loading.loader",
            "VideoError": "vidshift.data.media.video",
            "VideoInfo": "vidshift.data.media.video",
            "View": "vidshift.data.views.view",
            "clip_from_video": "vidshift.data.views.view",
            "decode": "vidshift.data.media.video",
            "encode": "vidshift.data.media.encoding",
            "eval_batches": "vidshift.data.loading.loader",
            "normalise": "vidshift.data.device.on_device",
            "open_split": "vidshift.data.sources.datasets",
            "probe": "vidshift.data.media.video",
            "register": "vidshift.data.sources.datasets",
            "train_batches": "vidshift.data.loading.loader",
        },
    )
