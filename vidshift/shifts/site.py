"""Where in a backbone time can be mixed, and the slots a scheme may fill there.

A backbone hands every *unit* (convolution, norm, activation) and every residual
*block* to a scheme's `place`, and uses the module that it returns. A scheme fills the
module's slots or replaces the module, so a backbone knows no scheme and a scheme touches
one file.

Slots keep the parameters' names: a network's weights have the same names under every
scheme, and only what a scheme adds is new. A TSN run initialises a TSM run as it is.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.folded import folded_layers
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


class NoPlaceError(ValueError):
    """A backbone without a place for what was asked for."""


class Scheme:
    """A way to mix time, which a backbone asks for every one of its sites.

    A subclass takes its options as keyword arguments, and writes `place`. Arguments named
    `num_frames`, `dtype` and `rngs` are the network's.

    Attributes:
      causal: no frame reads a later one.
      of_frames: weights belong to clips of `num_frames` frames.
      missing: names of the sites that it was asked for and has not met so far.
    """

    causal = False
    of_frames = False
    missing: frozenset[str] = frozenset()
    _filled = 0

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        """Returns the module with its slots filled, or another one that replaces it."""
        raise NotImplementedError

    def finish(self, network: nnx.Module) -> None:
        """Changes what is no site of a finished network, its stem or its head."""

    def put(self, module: nnx.Module, slot: str, layer: nnx.Module) -> None:
        """Fills a slot, after the layer that is in it already."""
        before = getattr(module, slot)
        layer = layer if before is None else nnx.Sequential(before, layer)
        setattr(module, slot, self.filled(layer))

    def filled(self, module: nnx.Module) -> nnx.Module:
        """Counts a site as filled, by a module that is returned as it is."""
        self._filled += 1
        return module

    def unmet(self) -> str | None:
        """Names the sites that it was asked for and did not find; None if it found all.

        An empty string says that the backbone has no site for it at all.
        """
        if self.missing:
            return ", ".join(sorted(self.missing))
        return None if self._filled else ""

    def check_beside(self, options: Mapping[str, Any]) -> None:
        """Refuses other options of the network that contradict the scheme's own.

        Raises:
          ValueError: an option contradicts the scheme.
        """


class Combined(Scheme):
    """Schemes that are asked for a site one after the other."""

    def __init__(self, schemes: Iterable[Scheme]):
        self.schemes = tuple(schemes)

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        for scheme in self.schemes:
            module = scheme.place(site, module)
        return module


class FrameMixer(nnx.Module):
    """A layer that mixes frames, perhaps without an array that a checkpoint would name.

    Attributes:
      title: name of the layer in messages.
      causal: no frame reads a later one.
      takes_clips: it may be called with clips `[B, T, ..., C]` instead of `Frames`.
    """

    title = "a layer that mixes frames"
    causal = False
    takes_clips = False


class Block(nnx.Module):
    """A block with a slot `before` and one `after` it; a subclass writes `inside`."""

    def __init__(self):
        self.before = nnx.data(None)
        self.after = nnx.data(None)

    def inside(self, x: Frames) -> Frames:
        raise NotImplementedError

    def __call__(self, x: Frames) -> Frames:
        if self.before is not None:
            x = self.before(x)
        x = self.inside(x)
        return x if self.after is None else self.after(x)


class Unit(nnx.Module):
    """`activation(norm(conv(x)))`, with slots around it and before the norm.

    Features are `vidshift.kernels.Frames`; `activation` is a named function or None. The slots are
    `before` the convolution, `between` it and the norm, and `after` the activation. With
    nothing between them, a norm in evaluation mode is folded into the convolution.
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
        if self.between is not None:
            return self.finish(self.conv(x))
        conv, norm = folded_layers(self.conv, self.norm)
        return self._activated(norm(conv(x)))

    def finish(self, x: Frames) -> Frames:
        """Returns features after the norm, the activation and the slots around them."""
        if self.between is not None:
            x = self.between(x)
        return self._activated(self.norm(x))

    def _activated(self, x: Frames) -> Frames:
        if self.activation is not None:
            x = x.like(self.activation(x.data))
        return x if self.after is None else self.after(x)
