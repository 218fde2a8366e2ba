"""Augmentations of a training clip besides its crop, drawn on the host.

A clip's draw is a few numbers, of fixed shapes; `apply_augment` applies it to the pixels
on the device.
"""

import dataclasses
import math

import numpy as np

from vidshift.data.device.operations import OPERATIONS, place

# Place of an operation that was not drawn.
NONE = -1
# Colour jitter is three of the operations and one of its own: field -> operation.
JITTER = {
    "brightness": "Brightness",
    "contrast": "Contrast",
    "saturation": "Color",
    "hue": "Hue",
}


@dataclasses.dataclass(slots=True)
class Augment:
    """Augmentations to draw; the defaults are none.

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

    @property
    def on(self) -> bool:
        """True if anything is drawn."""
        return self.rand_ops > 0 or any(getattr(self, field) for field in JITTER)

    def check(self, name: str = "augment") -> None:
        """Refuses values that no augmentation could mean.

        Args:
          name: of this object, for the message.

        Raises:
          ValueError: naming the field, the value and what is needed.
        """
        limits = {  # field: largest; the smallest is 0
            "rand_ops": math.inf,
            "rand_magnitude": 10,
            "rand_std": math.inf,
            "rand_probability": 1,
            "brightness": math.inf,
            "contrast": math.inf,
            "saturation": math.inf,
            "hue": 0.5,
        }
        for field, most in limits.items():
            value = getattr(self, field)
            if not (math.isfinite(value) and 0 <= value <= most):
                need = "0 or more" if most == math.inf else f"in [0, {most}]"
                raise ValueError(f"{name}.{field} must be {need}, got {value}")
        if self.rand_ops != int(self.rand_ops):
            raise ValueError(
                f"{name}.rand_ops must be a whole number, got {self.rand_ops}"
            )

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws the operations on one clip, the same in all its frames.

        RandAugment's turns come first and colour jitter follows in random order, as in
        timm. An operation may come twice.

        Returns:
          `augment_op` int32 [turns], places in OPERATIONS or NONE, and `augment_arg`
          float32 [turns], what each takes (0 where it takes nothing); turns is
          `rand_ops` and one for each kind of jitter that is not 0. Nothing where nothing
          is on.
        """
        if not self.on:
            return {}
        turns = [self._rand_turn(rng) for _ in range(self.rand_ops)]
        jitters = [field for field in JITTER if getattr(self, field)]
        turns += [
            self._jitter_turn(jitters[i], rng) for i in rng.permutation(len(jitters))
        ]
        ops, args = zip(*turns, strict=True)
        return {
            "augment_op": np.array(ops, np.int32),
            "augment_arg": np.array(args, np.float32),
        }

    def _rand_turn(self, rng: np.random.Generator) -> tuple[int, float]:
        names = [name for name, it in OPERATIONS.items() if it.argument]
        name = names[rng.integers(len(names))]
        drawn = rng.random() < self.rand_probability
        magnitude = rng.normal(self.rand_magnitude, self.rand_std)
        sign = -1 if rng.random() < 0.5 else 1
        if not drawn:
            return NONE, 0.0
        magnitude = min(max(magnitude, 0.0), 10.0)
        return place(name), OPERATIONS[name].argument(magnitude, sign)

    def _jitter_turn(self, field: str, rng: np.random.Generator) -> tuple[int, float]:
        most = getattr(self, field)
        least = -most if field == "hue" else max(0.0, 1 - most)
        if field != "hue":
            most = 1 + most
        return place(JITTER[field]), rng.uniform(least, most)
