"""Networks by name on the command line: BACKBONE/TEMPORAL:option=value,option=value."""

import functools
import json
from typing import NamedTuple

from flax import nnx

from vidshift.nets.zoo import (
    ARGUMENTS,
    BACKBONES,
    NoPlaceError,
    create,
    pick,
    without_scheme,
)
from vidshift.shifts import SCHEMES


class Network(NamedTuple):
    """Network that a name means; the scheme is TSN where none is named."""

    backbone: str
    temporal: str
    options: dict

    @property
    def name(self) -> str:
        options = ",".join(f"{k}={json.dumps(v)}" for k, v in self.options.items())
        return f"{self.backbone}/{self.temporal}{options and ':'}{options}"

    def under_tsn(self) -> "Network":
        """Keeps options of the backbone."""
        options = without_scheme({"backbone": self.backbone, **self.options})
        return Network(options.pop("backbone"), options.pop("temporal"), options)

    def abstract(self, **arguments) -> nnx.Module:
        """The model, of shapes alone; `arguments` are others of `create`."""
        arguments |= self.options
        make = functools.partial(create, self.backbone, self.temporal, **arguments)
        return nnx.eval_shape(make)


def parse(name: str) -> Network:
    """The network that a name means.

    Raises:
      ValueError: there is none of that name, or an option has no value or two.
    """
    names, _, given = name.partition(":")
    backbone, slash, temporal = names.partition("/")
    pick("backbone", backbone, BACKBONES)
    if slash:
        pick("temporal scheme", temporal, SCHEMES)
    options = {}
    for item in _split(given):
        key, _, value = item.partition("=")
        if not (key and value):
            raise ValueError(f"{name}: options are written key=value, got {item!r}")
        if key in ARGUMENTS:
            raise ValueError(f"{name}: {key} is none of a network's own options")
        if key in options:
            raise ValueError(f"{name}: {key} is given twice")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:  # a word, perhaps one of Python's
            options[key] = {"True": True, "False": False, "None": None}.get(
                value, value
            )
    return Network(backbone, temporal if slash else "tsn", options)


def under_every_scheme(network: Network) -> list[Network]:
    """The backbone under each scheme that it has a place for."""
    found = []
    for scheme in SCHEMES:
        one = network._replace(temporal=scheme)
        try:
            one.abstract(num_classes=2, num_frames=8)
        except NoPlaceError:
            continue
        found.append(one)
    return found


def _split(given: str) -> list[str]:
    """At the commas between options, not at those in a list."""
    items = []
    for piece in given.split(",") if given else ():
        if items and "=" not in piece:
            items[-1] += "," + piece
        else:
            items.append(piece)
    return items
