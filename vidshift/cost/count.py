"""Counts parameters and multiplications, and compares them with the papers' tables."""

import functools
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.cost.published import KINETICS, ROWS, TOGETHER, Published
from vidshift.kernels import Frames
from vidshift.kernels.analysis.flops import flops
from vidshift.layers.norm import BatchNorm
from vidshift.nets import train_view
from vidshift.nets.names import Network, parse
from vidshift.nets.weights import named_arrays
from vidshift.shifts.rubiks import Shift2D, Shift3D

# How a source counts: products, and so much for an element of what a layer gives.
CONVENTIONS = {
    "products": {},
    # thop 0.1.1: two operations a batch norm's element, doubled for its scale and bias.
    "thop": {BatchNorm: 4},
    # RubiksNet's script is not released. Two a batch norm's element and six an
    # interpolated one come to all the figures of its Table 1.
    "shifts": {BatchNorm: 2, Shift3D: 6, Shift2D: 6},
}


class Cost(NamedTuple):
    """Cost of one clip; `macs_as_source` adds the source's element-wise work to `macs`."""

    parameters: int
    macs: int
    macs_as_source: int


def cost(
    network: Network,
    *,
    classes: int,
    frames: int,
    side: int,
    in_channels: int = 3,
    counts: str = "products",
) -> Cost:
    """Counts a network without running it.

    Args:
      counts: a key of `CONVENTIONS`.

    Raises:
      ValueError: the network does not exist, or does not take such clips.
    """
    sizes = {"num_classes": classes, "num_frames": frames, "in_channels": in_channels}
    model = train_view(network.abstract(**sizes))
    parameters = sum(a.size for a in named_arrays(model, nnx.Param).values())
    clip = jax.ShapeDtypeStruct((1, frames, side, side, model.in_channels), jnp.float32)
    macs, elements = work(
        lambda m, c: m(c, rngs=jax.random.key(0)), model, clip, CONVENTIONS[counts]
    )
    besides = sum(CONVENTIONS[counts][kind] * n for kind, n in elements)
    return Cost(parameters, macs, macs + besides)


def work(
    call: Callable, model: nnx.Module, x, kinds: Collection[type]
) -> tuple[int, list[tuple[type, int]]]:
    """Counts the work of `call(model, x)` without running it.

    Args:
      model: its layers of some `kinds` are replaced by measured ones.
      x: what the model takes, of shapes alone.

    Returns:
      MACs of products and convolutions, and (kind of layer, elements it gave) of each
      call of a layer of some `kinds`.
    """
    tally = Tally()
    for parent, name, layer in list(_layers(model, tuple(kinds))):
        setattr(parent, name, Measured(layer, tally))
    traced = jax.make_jaxpr(call)(model, x)
    return flops(traced, hanging=True) // 2, tally.elements


class Tally:
    """(kind of layer, elements it gave), one entry a call."""

    def __init__(self):
        self.elements: list[tuple[type, int]] = []


class Measured(nnx.Module):
    """A layer, and a tally of the sizes of what it gives."""

    use_running_average = False  # what a unit asks its norm

    def __init__(self, layer: nnx.Module, tally: Tally):
        self.layer = layer
        self.tally = nnx.static(tally)

    def __call__(self, *arguments):
        y = self.layer(*arguments)
        size = y.data.size if isinstance(y, Frames) else y.size
        if isinstance(self.layer, Shift3D):  # it has multiplied by a weight, perhaps
            size = size // y.shape[-1] * self.layer.channels
        self.tally.elements.append((type(self.layer), size))
        return y


def _layers(model: nnx.Module, kinds: tuple[type, ...]) -> Iterator[tuple]:
    """(parent, name, layer) of every layer of some kinds."""
    for _, parent in nnx.iter_modules(model):
        for name, child in vars(parent).items():
            if isinstance(child, kinds):
                yield parent, name, child


# What a clip and a head are unless a published row or the command line says.
UNLESS_SAID = {"classes": KINETICS, "frames": 8, "side": 224, "in_channels": 3}


def rows(names: list[str], **clips) -> Iterator[dict]:
    """Gives the published rows of these networks, or a row for one that has none.

    Args:
      names: networks, or ensembles; none means every published row.
      **clips: keys of `UNLESS_SAID`; None where not given. A network of which no row is
        published with those is counted with them, and `UNLESS_SAID` besides.

    Raises:
      ValueError: a network does not exist, or does not take such clips.
    """
    asked = {k: v for k, v in clips.items() if v is not None}
    found = []
    for name in names:
        networks = [parse(part) for part in name.split(TOGETHER)]
        own = [
            row
            for row in ROWS
            if all(getattr(row, k) == v for k, v in asked.items())
            and _means(row, networks)
        ]
        written = TOGETHER.join(network.name for network in networks)
        found += own or [Published(written, **UNLESS_SAID | asked)]
    for row in found if names else ROWS:
        yield beside(row)


def _means(row: Published, networks: list[Network]) -> bool:
    """Returns whether a row is of these networks, however their options are written."""
    parts = [(parse(part.network), part) for part in row.parts()]
    kinds = [(own.backbone, own.temporal) for own, _ in parts]
    return kinds == [(n.backbone, n.temporal) for n in networks] and all(
        network == own
        or _built(network.name, part.frames) == _built(own.name, part.frames)
        for network, (own, part) in zip(networks, parts)
    )


@functools.cache
def _built(name: str, frames: int) -> nnx.GraphDef:
    """All of a network but its arrays: the same for an option's default and without."""
    return nnx.graphdef(parse(name).abstract(num_classes=2, num_frames=frames))


def beside(row: Published) -> dict:
    """A published row with our count."""
    parts = [(parse(part.network), part) for part in row.parts()]
    found = [
        cost(
            network,
            classes=row.classes,
            frames=part.frames,
            side=row.side,
            in_channels=part.in_channels,
            counts=row.counts,
        )
        for network, part in parts
    ]
    found = Cost(*map(sum, zip(*found)))
    return {
        "name": TOGETHER.join(network.name for network, _ in parts),
        "width": parts[0][0].options.get("width", 1.0),
        **{k: getattr(row, k) for k in UNLESS_SAID},
        "parameters": found.parameters,
        "macs": found.macs,
        "macs_as_source": found.macs_as_source,
        "published_parameters": _number(row.parameters, 1e6),
        "published_macs": _number(row.macs, 1e9),
        "agrees": agrees(found.parameters / 1e6, row.parameters)
        and agrees(found.macs_as_source / 1e9, row.macs),
        "counts": row.counts,
        "source": row.source,
        "note": row.note,
    }


def _number(printed: str, unit: float) -> int | None:
    return round(float(printed) * unit) if printed else None


def agrees(ours: float, printed: str) -> bool:
    """Returns whether a number is within 1 % of what is printed, or rounds to it."""
    if not printed:
        return True
    digits = len(printed.partition(".")[2])
    return abs(ours / float(printed) - 1) <= 0.01 or round(ours, digits) == float(
        printed
    )
