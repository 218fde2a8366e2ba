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
from vidshift.layers.width import kept


@dataclasses.dataclass(frozen=True)
class Site:
    """A place in a backbone that a scheme may change.

    `stage` and `block` count from 0, `blocks` is the stage's length. `unit` is the
    unit's position in its branch, or None for the block itself; `units` is how many
    units that branch has. `residual` says that the block adds its input, or a projection
    of it, to what its one branch computes. Blocks of several branches side by side
    (Inception) are not residual, and `branch` names the unit's; `branches` are those of
    the block that have units, the one with the fewest first. Channels are those of the
    full-width network; of a slimmed one (A3D) they are what a channel's role goes by, and
    `kept_in` and `kept_out` say how many are there.
    """

    stage: int
    block: int
    blocks: int
    unit: int | None
    units: int
    in_channels: int
    out_channels: int
    residual: bool = True
    branch: str = ""
    branches: tuple[str, ...] = ()
    width: float = 1.0

    @property
    def kept_in(self) -> int:
        return kept(self.in_channels, self.width)

    @property
    def kept_out(self) -> int:
        return kept(self.out_channels, self.width)

    @property
    def first_unit(self) -> bool:
        """The first of a residual branch."""
        return self.residual and self.unit == 0

    @property
    def last_unit(self) -> bool:
        """The last of a residual branch."""
        return self.residual and self.unit == self.units - 1

    @property
    def least(self) -> bool:
        """In the branch of a block of several that has the fewest units."""
        return bool(self.branches) and self.branch == self.branches[0]

    @property
    def whole_block(self) -> bool:
        return self.unit is None

    @property
    def last_block(self) -> bool:
        """The last of its stage."""
        return self.block == self.blocks - 1


# One that is asked for particular places keeps those that it has not met in an attribute
# `missing`, a set of words.
Scheme = Callable[[Site, nnx.Module], nnx.Module]


class NoPlaceError(ValueError):
    """A backbone without a place for what was asked for."""


def put(module: nnx.Module, slot: str, layer: nnx.Module) -> None:
    """Fills a slot, after what is in it already."""
    there = getattr(module, slot)
    setattr(module, slot, layer if there is None else nnx.Sequential(there, layer))


class Unit(nnx.Module):
    """`activation(norm(conv(x)))`, with slots around it and before the norm.

    Features are `kernels.Frames`; `activation` is a named function or None. The slots are
    `before` the convolution, `between` it and the norm, and `after` the activation.
    """

    def __init__(self, conv: nnx.Module, norm: nnx.Module, activation=nnx.relu):
        self.before = nnx.data(None)
        self.conv = conv
        self.between = nnx.data(None)
        self.norm = norm
        self.activation = activation
        self.after = nnx.data(None)

    def __call__(self, x: Frames) -> Frames:
        if self.before is not None:
            x = self.before(x)
        return self.finish(self.conv(x))

    def finish(self, x: Frames) -> Frames:
        """What follows the convolution."""
        if self.between is not None:
            x = self.between(x)
        x = self.norm(x)
        if self.activation is not None:
            x = x.like(self.activation(x.data))
        return x if self.after is None else self.after(x)
