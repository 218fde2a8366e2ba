"""What is done to the pixels of a training clip besides its crop, on the device."""

import dataclasses


@dataclasses.dataclass(slots=True)
class Augment:
    """Which augmentations are drawn; the defaults are none.

    RandAugment (Cubuk et al., 2020): `rand_ops` operations in turn, each with
    `rand_probability` and of a magnitude drawn around `rand_magnitude`, of 10, with the
    deviation `rand_std`. Colour jitter: `brightness`, `contrast` and `saturation` are
    changed by a factor in [1 - x, 1 + x], `hue` is turned by a share in [-x, x] of the
    circle.
    """

    rand_ops: int = 0
    rand_magnitude: float = 9.0
    rand_std: float = 0.5
    rand_probability: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
