"""Inception networks: blocks of branches side by side, given as tables of layers.

What BN-Inception and Inception-V3 share, as the official TSM, GSM and GSF use them: each
convolution has a bias, a batch norm (epsilon 1e-5) and a ReLU; max pooling rounds the
number of its windows up; average pooling counts the places around a frame as zeros.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx

from vidshift import shifts
from vidshift.kernels import Frames
from vidshift.layers.pool import avg_pool, max_pool
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.units import conv_unit, in_order, placed
from vidshift.shifts import Scheme, Site


class Conv(NamedTuple):
    """A convolution of a table; `padding` None is half of the kernel."""

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: int | None = None


class Chain(NamedTuple):
    """Convolutions one after the other, then max pooling to half the side."""

    convs: tuple[Conv, ...]


class Branch(NamedTuple):
    """Pooling over 3x3 windows ("avg", "max" or none), then convolutions in a row.

    With `fork` the last two both read what comes before them, and stand side by side.
    """

    convs: tuple[Conv, ...]
    pool: str = ""
    fork: bool = False


class Block(NamedTuple):
    """Branches side by side, concatenated in this order.

    The names are those of `Site.branch`: "1x1", "3x3", "double_3x3" and "pool". A block
    that halves the side says which sides it halves, the "even" or the "odd" ones, to the
    same number in every branch; it appends a row and a column of zeros to others.
    """

    branches: dict[str, Branch]
    halves: str = ""


class ChainOfUnits(shifts.Block):
    """A `Chain`."""

    def __init__(self, units: list[nnx.Module]):
        super().__init__()
        self.units = nnx.List(units)

    def inside(self, x: Frames) -> Frames:
        for unit in self.units:
            x = unit(x)
        return max_pool(x, 3, 2, 0, ceil_mode=True)


class InceptionBranch(nnx.Module):
    """A `Branch`; `stride` is that of its pooling."""

    def __init__(self, units: list[nnx.Module], pool: str, stride: int, fork: bool):
        self.units = nnx.List(units)
        self.pool = pool
        self.stride = stride
        self.fork = fork

    def __call__(self, x: Frames) -> Frames:
        if self.pool == "avg":
            x = avg_pool(x, 3, self.stride, 1)
        elif self.pool == "max":
            padding = 1 if self.stride == 1 else 0
            x = max_pool(x, 3, self.stride, padding, ceil_mode=True)
        units = list(self.units)
        forked = units[-2:] if self.fork else []
        for unit in units[: len(units) - len(forked)]:
            x = unit(x)
        return side_by_side([unit(x) for unit in forked]) if forked else x


class InceptionBlock(shifts.Block):
    """A `Block`."""

    def __init__(self, branches: dict[str, nnx.Module], halves: str):
        super().__init__()
        self.branches = nnx.Dict(branches)
        self.order = tuple(branches)
        self.halves = halves

    def inside(self, x: Frames) -> Frames:
        if self.halves:
            x = _with_sides(self.halves, x)
        return side_by_side([self.branches[name](x) for name in self.order])


def side_by_side(parts: list[Frames]) -> Frames:
    """Features of the same frames, channels concatenated."""
    return parts[0].like(jnp.concatenate([part.data for part in parts], -1))


def _with_sides(which: str, x: Frames) -> Frames:
    """Even or odd sides, by zeros at the far edges."""
    wrong = 1 if which == "even" else 0
    more = [(0, int(side % 2 == wrong)) for side in x.data.shape[:2]]
    if not any(after for _, after in more):
        return x
    return x.like(jnp.pad(x.data, (*more, (0, 0), (0, 0))))


class InceptionNetwork(FrameNetwork):
    """An Inception network over frames; see `FrameNetwork` for the head.

    Every stage's blocks, and the units of their branches, are sites; the stem is none.

    Args:
      scheme: how time is mixed (`vidshift.shifts`).
      stem: what comes first.
      stages: a `Block`, or a `Chain`, for each block of each stage.
      **network: see `VideoNetwork`.
    """

    def __init__(
        self,
        scheme: Scheme,
        *,
        stem: tuple[Chain, ...],
        stages: tuple[tuple[Block | Chain, ...], ...],
        in_channels=3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        unit = partial(conv_unit, use_bias=True, dtype=dtype, rngs=rngs)
        built, cin = [], in_channels
        for chain in stem:
            built.append(ChainOfUnits([u for *_, u in _units(chain.convs, cin, unit)]))
            cin = chain.convs[-1].channels
        self.stem = nnx.List(built)
        built = []
        for stage, table in enumerate(stages):
            blocks = []
            for number, row in enumerate(table):
                place = partial(Site, stage, number, len(table), residual=False)
                make = _block if isinstance(row, Block) else _chain
                block, cin = make(row, cin, scheme, place, unit)
                blocks.append(block)
            built.append(nnx.List(blocks))
        self.stages = nnx.List(built)
        super().__init__(
            cin, in_channels=in_channels, dtype=dtype, rngs=rngs, **network
        )

    def body(self, x: Frames) -> Frames:
        """To `[H/32, W/32]`, or less.

        Raises:
          ValueError: clips so small that nothing is left.
        """
        height, width = x.data.shape[:2]
        for chain in self.stem:
            x = chain(x)
        x = in_order(self.stages, x)
        if 0 in x.data.shape:
            raise ValueError(
                f"clips of {height} x {width} are too small for {type(self).__name__}"
            )
        return x


def _units(convs, cin, unit, *, fork=False) -> list[tuple[int, int, nnx.Module]]:
    """`[(in, out, unit), ...]`."""
    built = []
    for i, conv in enumerate(convs):
        if fork and i == len(convs) - 1:
            cin = built[-1][0]
        made = unit(cin, conv.channels, conv.kernel, conv.stride, padding=conv.padding)
        built.append((cin, conv.channels, made))
        cin = conv.channels
    return built


def _chain(row: Chain, cin, scheme, place, unit):
    """(module, its output channels). Its units are no sites: no branch has them."""
    units = _units(row.convs, cin, unit)
    cout = row.convs[-1].channels
    module = ChainOfUnits([u for *_, u in units])
    site = place(unit=None, units=len(units), in_channels=cin, out_channels=cout)
    return scheme.place(site, module), cout


def _block(row: Block, cin, scheme, place, unit):
    """(module, its output channels)."""
    lengths = {name: len(b.convs) for name, b in row.branches.items() if b.convs}
    # Sorting is stable: of two of a length the one that the table has first.
    place = partial(place, branches=tuple(sorted(lengths, key=lengths.get)))
    branches, cout = {}, 0
    for name, branch in row.branches.items():
        parts = _units(branch.convs, cin, unit, fork=branch.fork)
        in_branch = partial(place, units=len(parts), branch=name)
        units = placed(scheme, in_branch, parts)
        stride = 2 if row.halves else 1
        branches[name] = InceptionBranch(units, branch.pool, stride, branch.fork)
        last = parts[-2:] if branch.fork else parts[-1:]
        cout += sum(co for _, co, _ in last) if parts else cin
    module = InceptionBlock(branches, row.halves)
    site = place(
        unit=None, units=sum(lengths.values()), in_channels=cin, out_channels=cout
    )
    return scheme.place(site, module), cout
