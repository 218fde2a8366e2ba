"""Sub-networks: the network itself, narrower, on fewer frames and pixels.

A sub-network is built by the same constructor and has the same names; each of its arrays
is a leading slice of the full one. So there are no slimmable layers: slice the full
parameters inside a differentiated function, and the gradient lands in them by itself.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx

from vidshift.nets.weights import Arrays, Skeleton, split


class SubNetwork(NamedTuple):
    """Sub-network, in A3D's tables `S² x T, width`.

    Of a SlowFast all three are the Slow pathway's; the Fast one stays whole.
    """

    width: float  # share of the channels that are kept
    side: int  # S, pixels of the clip's short side
    frames: int  # T

    def __str__(self) -> str:
        return f"{self.side}x{self.frames},{self.width:g}"

    @classmethod
    def parse(cls, text: str) -> "SubNetwork":
        """Reads `SIDExFRAMES,WIDTH`, such as `128x2,0.5`.

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

    def of(self, model: dict[str, Any]) -> dict[str, Any]:
        """Its arguments of `vidshift.create`, from those of the full network.

        Below the side of a `head_size`, where its window would not fit, it pools over
        all that there is.
        """
        head_size = model.get("head_size")
        too_small = head_size is not None and self.side < head_size
        kept = {k: v for k, v in model.items() if k != "head_size" or not too_small}
        return kept | self._asdict()


def narrow(arrays: Arrays, like: Arrays) -> Arrays:
    """The leading slices of arrays that have the shapes of `like`'s, by name."""
    return {
        name: arrays[name][tuple(map(slice, wanted.shape))]
        for name, wanted in like.items()
    }


class Narrow(NamedTuple):
    """A sub-network without its arrays; `merge` takes its slices of the full ones."""

    skeleton: Skeleton
    params: Arrays  # of shapes alone
    stats: Arrays

    @classmethod
    def of(cls, make: Callable[[], nnx.Module]) -> "Narrow":
        """Makes one from what builds the sub-network, which is not run."""
        return cls(*split(nnx.eval_shape(make)))

    def merge(self, params: Arrays, stats: Arrays) -> nnx.Module:
        """The network with slices of these; its own arrays are slices of themselves."""
        return self.skeleton.merge(
            narrow(params, self.params), narrow(stats, self.stats)
        )
