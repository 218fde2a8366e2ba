"""How the official code of each backbone prepares its pixels."""

from typing import NamedTuple

from vidshift.data.device.on_device import IMAGENET_MEAN, IMAGENET_STD


class Pixels(NamedTuple):
    """The short side after resizing, the crop's, and the normalisation of [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int = 256
    crop: int = 224


# Caffe's: BGR from 0 to 255, less 104, 117 and 128. The official TSM, GSM and GSF code
# has it for both Inceptions.
CAFFE = ("bn_inception", "inception_v3")
# SlowFast's repository. It tests on 256 pixels what was trained on 224, whose pooling it
# keeps: `HEAD_SIZE`.
SLOWFAST = ("slow_8x8_r50", "slowfast_4x16_r50", "slowfast_8x8_r50")
HEAD_SIZE = 224
SIDES = {
    "inception_v3": {"resize": 261, "crop": 229},  # GSM's and GSF's
    **{backbone: {"resize": 256, "crop": 256} for backbone in SLOWFAST},
}


def official_pixels(backbone: str, *, in_channels: int = 3, bgr: bool) -> Pixels:
    """The official input of a backbone, for channels in the order RGB.

    Args:
      backbone: a name in `vidshift.BACKBONES`.
      in_channels: of a frame; others than 3 are optical flow's.
      bgr: as Caffe has it, in the order RGB: the first convolution's input channels
        have to be turned round to go with it.
    """
    sides = SIDES.get(backbone, {})
    if in_channels != 3:  # TSM's
        mean, std = (128 / 255, 1 / 255) if backbone in CAFFE else (0.5, 0.226)
        return Pixels((mean,) * in_channels, (std,) * in_channels, **sides)
    if bgr:
        return Pixels((128 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3, **sides)
    if backbone in SLOWFAST:
        return Pixels((0.45,) * 3, (0.225,) * 3, **sides)
    return Pixels(IMAGENET_MEAN, IMAGENET_STD, **sides)
