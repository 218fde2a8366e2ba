"""Where in a backbone time can be mixed, and the slots a scheme may fill there.

A backbone hands every *unit* (convolution, norm, activation) and every residual
*block* to a scheme, a function `(site, module) -> module`, and uses what comes back.
A scheme fills the module's slots or returns another module for it, so a backbone knows
no scheme and a scheme touches one file.

Slots keep the parameters' names: a network's weights have the same names under every
scheme, and only what a scheme adds is new. A TSN run initialises a TSM run as it is.
"""

import dataclasses
from collections.abc import Callable

from flax import nnx

from kernels import Frames


@dataclasses.dataclass(frozen=True)
class Site:
    """A place in a backbone that a scheme may change.

    `stage` and `block` count from 0, `blocks` is the stage's length. `unit` is the
    unit's position in its block, or None for the block itself; `units` is how many
    units the block's residual branch has. Channels are those of the full-width network.
    """

    stage: int
    block: int
    blocks: int
    unit: int | None
    units: int
    in_channels: int
    out_channels: int

    @property
    def first_unit(self) -> bool:
        return self.unit == 0

    @property
    def whole_block(self) -> bool:
        return self.unit is None


Scheme = Callable[[Site, nnx.Module], nnx.Module]


class Unit(nnx.Module):
    """`activation(norm(conv(x)))`, with a slot before the convolution.

    Features are `kernels.Frames`; `activation` is a named function or None.
    """

    def __init__(self, conv: nnx.Module, norm: nnx.Module, activation=nnx.relu):
        self.before = nnx.data(None)
        self.conv = conv
        self.norm = norm
        self.activation = activation

    def __call__(self, x: Frames) -> Frames:
        if self.before is not None:
            x = self.before(x)
        return self.finish(self.conv(x))

    def finish(self, x: Frames) -> Frames:
        """What follows the convolution."""
        x = self.norm(x)
        return x if self.activation is None else x.like(self.activation(x.data))
