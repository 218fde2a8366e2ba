"""Preparation of pixels by the official code of each backbone."""

from typing import NamedTuple

from vidshift.data.device.on_device import IMAGENET_MEAN, IMAGENET_STD
from vidshift.nets import BACKBONES


class Pixels(NamedTuple):
    """The short side after resizing, the crop's, and the normalisation of [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    crop: int


NORMALISATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "slowfast": ((0.45,) * 3, (0.225,) * 3),
    # BGR from 0 to 255, less 104, 117 and 128, in the order RGB.
    "caffe": ((128 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3),
}


def official_pixels(backbone: str, *, in_channels: int = 3, bgr: bool) -> Pixels:
    """Returns the official input of a backbone, for channels in the order RGB.

    Args:
      backbone: a name in `vidshift.BACKBONES`.
      in_channels: of a frame; others than 3 are optical flow's.
      bgr: as Caffe has it, in the order RGB: the first convolution's input channels
        have to be turned round to go with it.
    """
    row = BACKBONES[backbone]
    mean, std = NORMALISATIONS["caffe" if bgr else row.normalisation]
    if in_channels != 3:  # TSM's
        mean, std = (128 / 255, 1 / 255) if row.bgr else (0.5, 0.226)
        mean, std = (mean,) * in_channels, (std,) * in_channels
    return Pixels(mean, std, row.resize, row.crop)
