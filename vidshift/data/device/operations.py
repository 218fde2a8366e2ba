"""Table of augmentations: name, magnitude, and change of the pixels.

A new one is another row, added before the first batch is drawn and compiled:
`OPERATIONS["Blur"] = AugmentOperation(lambda magnitude, sign: magnitude / 10, blur)`.
"""

from collections.abc import Callable
from typing import NamedTuple

from vidshift.data.device import affine, pixel_ops


class AugmentOperation(NamedTuple):
    # (magnitude in [0, 10], sign) -> the number that the operation takes; None: not one
    # of RandAugment's.
    argument: Callable[[float, int], float] | None
    # (frames of a clip, number) -> frames: changes levels; or
    change: Callable | None = None
    # (height, width, number) -> matrix of `affine.resample`: changes places.
    matrix: Callable | None = None


def _nothing(magnitude: float, sign: int) -> float:
    return 0.0


def _whole(most: int) -> Callable[[float, int], float]:
    return lambda magnitude, sign: int(magnitude / 10 * most)


def _factor(magnitude: float, sign: int) -> float:
    return magnitude / 10 * 1.8 + 0.1


def _signed(most: float) -> Callable[[float, int], float]:
    return lambda magnitude, sign: sign * (magnitude / 10 * most)


# The names and magnitudes are timm's: its "rand-m9-mstd0.5", which GSF's official code
# trains with. Where an operation can go both ways timm draws the sign as well. Posterize
# and Solarize change less the larger the magnitude, and the four enhancements nothing at
# 5, as timm's do without "inc".
OPERATIONS: dict[str, AugmentOperation] = {
    "Hue": AugmentOperation(None, pixel_ops.hue),
    "AutoContrast": AugmentOperation(_nothing, pixel_ops.auto_contrast),
    "Equalize": AugmentOperation(_nothing, pixel_ops.equalize),
    "Invert": AugmentOperation(_nothing, pixel_ops.invert),
    "Posterize": AugmentOperation(_whole(4), pixel_ops.posterize),  # bits that stay
    # The first level that is inverted.
    "Solarize": AugmentOperation(_whole(256), pixel_ops.solarize),
    "SolarizeAdd": AugmentOperation(_whole(110), pixel_ops.solarize_add),  # levels
    "Color": AugmentOperation(_factor, pixel_ops.color),
    "Contrast": AugmentOperation(_factor, pixel_ops.contrast),
    "Brightness": AugmentOperation(_factor, pixel_ops.brightness),
    "Sharpness": AugmentOperation(_factor, pixel_ops.sharpness),
    "Rotate": AugmentOperation(_signed(30), matrix=affine.rotation),  # degrees
    "ShearX": AugmentOperation(_signed(0.3), matrix=affine.shear_x),  # pixels a pixel
    "ShearY": AugmentOperation(_signed(0.3), matrix=affine.shear_y),
    # Fractions of the side.
    "TranslateXRel": AugmentOperation(_signed(0.45), matrix=affine.translation_x),
    "TranslateYRel": AugmentOperation(_signed(0.45), matrix=affine.translation_y),
}


def place(name: str) -> int:
    """Returns the number by which a draw names an operation."""
    return list(OPERATIONS).index(name)
