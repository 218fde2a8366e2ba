"""Videos to batches: datasets, decoding, sampling, cropping, loading.

Knows no model. A dataset's `Split` and a `View` go in, dicts of arrays come out.
"""

from vidshift.data.datasets import DATASETS as DATASETS
from vidshift.data.datasets import open_split as open_split
from vidshift.data.loader import Batches as Batches
from vidshift.data.loader import TooManyFailures as TooManyFailures
from vidshift.data.loader import eval_batches as eval_batches
from vidshift.data.loader import train_batches as train_batches
from vidshift.data.motion_clips import OrderedMotion as OrderedMotion
from vidshift.data.on_device import IMAGENET_MEAN as IMAGENET_MEAN
from vidshift.data.on_device import IMAGENET_STD as IMAGENET_STD
from vidshift.data.on_device import prepare as prepare
from vidshift.data.split import Record as Record
from vidshift.data.split import Split as Split
from vidshift.data.video import VideoError as VideoError
from vidshift.data.video import VideoInfo as VideoInfo
from vidshift.data.video import decode as decode
from vidshift.data.video import encode as encode
from vidshift.data.video import probe as probe
from vidshift.data.view import View as View
from vidshift.data.view import clip_from_video as clip_from_video
