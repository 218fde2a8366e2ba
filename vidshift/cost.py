"""Parameters and multiplications of networks, beside what the papers print for them.

    python -m vidshift.cost                          # every published row
    python -m vidshift.cost resnet50/gsf             # its rows
    python -m vidshift.cost resnet50/gsf:ratio=0.5 --frames 16 --classes 101   # any other

A NAME is BACKBONE/TEMPORAL, with options of vidshift.create after a colon and commas
between them; BACKBONE alone is TSN. "NAME + NAME" is an ensemble: the sum of its
networks. A name gives the published rows of the same network, whichever of its options
are written out; without a published row it is counted as asked. Both are counted from the network itself: parameters
are what is trained; `macs` are the products of convolutions and linear layers for one
clip, windows that hang over the edge counted whole. Where a source counts element-wise
work too, the last columns count as it does: `as the source counts`.
"""

if __name__ == "__main__":
    from vidshift.command_errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import functools
import json
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from kernels import Frames
from kernels.flops import flops
from vidshift import command_errors
from vidshift.arguments import count
from vidshift.layers.norm import BatchNorm
from vidshift.nets import train_view
from vidshift.nets.names import Network, parse
from vidshift.nets.weights import named_arrays
from vidshift.published import KINETICS, ROWS, TOGETHER, Published
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
    """Of one clip. `macs_as_source` is `macs` and what the source counts besides."""

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
    tally = Tally()
    for parent, name, layer in list(_layers(model, tuple(CONVENTIONS[counts]))):
        setattr(parent, name, Measured(layer, tally))
    clip = jax.ShapeDtypeStruct((1, frames, side, side, model.in_channels), jnp.float32)
    traced = jax.make_jaxpr(lambda m, c: m(c, rngs=jax.random.key(0)))(model, clip)
    macs = flops(traced, hanging=True) // 2
    besides = sum(CONVENTIONS[counts][kind] * n for kind, n in tally.elements)
    return Cost(parameters, macs, macs + besides)


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
    """What is printed: the published rows of these networks, or one that is asked for.

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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m vidshift.cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="default: all that is published")
    add("--classes", type=count, help="of the head; 400")
    add("--frames", type=count, help="of a clip; 8")
    add("--side", type=count, help="of a frame, pixels; 224")
    add("--in-channels", type=count, help="of a frame; 3, of a flow 2")
    add("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args(argv)
    clips = {k: getattr(options, k) for k in UNLESS_SAID}
    if not options.json:
        print(HEADING)
    try:
        for row in rows(options.names, **clips):
            print(json.dumps(row) if options.json else _line(row), flush=True)
    except ValueError as error:
        print(f"cost: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


HEADING = (
    "| network | classes | clip | parameters | printed | MACs | as the source counts "
    "| printed | source |\n|---|---|---|---|---|---|---|---|---|"
)


def _line(row: dict) -> str:
    as_source = ""
    if row["counts"] != "products":
        as_source = f"{row['macs_as_source'] / 1e9:.2f} G"
    said = [row["source"], "" if row["agrees"] else "**differs**", row["note"]]
    cells = (
        f"`{row['name']}`",
        f"{row['classes']}",
        _clip(row),
        f"{row['parameters']:,}",
        _printed(row["published_parameters"], 1e6, "M"),
        f"{row['macs'] / 1e9:.2f} G",
        as_source,
        _printed(row["published_macs"], 1e9, "G"),
        "; ".join(filter(None, said)),
    )
    return f"| {' | '.join(cells)} |"


def _clip(row: dict) -> str:
    """Frames x side², and the channels of a frame that has not three."""
    sizes = [row["frames"], f"{row['side']}²"]
    if row["in_channels"] != 3:
        sizes.append(row["in_channels"])
    return " x ".join(
        f"({TOGETHER.join(map(str, size))})" if isinstance(size, tuple) else f"{size}"
        for size in sizes
    )


def _printed(number: int | None, unit: float, letter: str) -> str:
    return "" if number is None else f"{number / unit:g} {letter}"


if __name__ == "__main__":
    command_errors.run(main)
