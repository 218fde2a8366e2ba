"""Sub-networks: the network itself, narrower, on fewer frames and pixels.

A sub-network is built by the same constructor and has the same names; each of its arrays
is a leading slice of the full one. So there are no slimmable layers: slice the full
parameters inside a differentiated function, and the gradient lands in them by itself.
"""

import re
from typing import NamedTuple

from vidshift.nets.weights import Arrays


class SubNetwork(NamedTuple):
    """What A3D's tables write as `S² x T, width`.

    Of a SlowFast all three are the Slow pathway's; the Fast one stays whole.
    """

    width: float  # share of the channels that are kept
    side: int  # S, pixels of the clip's short side
    frames: int  # T

    def __str__(self) -> str:
        return f"{self.side}x{self.frames},{self.width:g}"

    @classmethod
    def parse(cls, text: str) -> "SubNetwork":
        """Of `SIDExFRAMES,WIDTH`, such as `128x2,0.5`.

        Raises:
          ValueError: it is not of that form.
        """
        found = re.fullmatch(r"(\d+)x(\d+),(\d*\.?\d+)", text.strip())
        if not found:
            raise ValueError(
                f"a sub-network is SIDExFRAMES,WIDTH, such as 128x2,0.5; got {text!r}"
            )
        side, frames, width = found.groups()
        return cls(float(width), int(side), int(frames))

    def of(self, model: dict) -> dict:
        """Its arguments of `vidshift.create`, from those of the full network.

        It pools over all that there is: the window of a `head_size` would not fit in
        clips that are smaller.
        """
        kept = {k: v for k, v in model.items() if k != "head_size"}
        return kept | self._asdict()


def narrow(arrays: Arrays, like: Arrays) -> Arrays:
    """The leading slices of arrays that have the shapes of `like`'s, by name."""
    return {
        name: arrays[name][tuple(map(slice, wanted.shape))]
        for name, wanted in like.items()
    }
