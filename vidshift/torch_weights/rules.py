"""Parts of a table of official names."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from flax import nnx


class Leaf(NamedTuple):
    """An array of a module: PyTorch's name, and what brings it into our order of axes.

    `to_ours(array, shape)` is given the shape of our variable.
    """

    name: str
    to_ours: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def channels_last(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel `[out, in, ...]` as `[..., in, out]`; vectors and scalars stay.

    An axis of time of length 1 is dropped where our convolution has none.
    """
    if array.ndim == 5 and len(shape) == 4 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim < 2:
        return array
    return np.moveaxis(array, (0, 1), (-1, -2))


def as_it_is(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array


# Our leaf name -> PyTorch's.
CONV = {"kernel": Leaf("weight", channels_last), "bias": Leaf("bias", as_it_is)}
NORM = {
    "scale": Leaf("weight", as_it_is),
    "bias": Leaf("bias", as_it_is),
    "mean": Leaf("running_mean", as_it_is),
    "var": Leaf("running_var", as_it_is),
}


class Rule(NamedTuple):
    """The official name of modules of ours whose path matches.

    `theirs` takes the groups of the regular expression `ours`, numbers as `int`, and
    gives the module's official name without the family's prefix.
    """

    ours: str
    theirs: Callable[..., str]
    leaves: Mapping[str, Leaf]


def unit_rules(
    ours: str, conv: Callable, norm: Callable, *, conv_leaves=CONV, norm_leaves=NORM
) -> tuple[Rule, Rule]:
    """Rules of a unit's convolution and norm, from its path and their official names."""
    return (
        Rule(rf"{ours}\.conv", conv, conv_leaves),
        Rule(rf"{ours}\.norm", norm, norm_leaves),
    )


def layers_in(
    model: nnx.Module, slot: str, kind: type[nnx.Module]
) -> dict[str, nnx.Module]:
    """Layers of a kind in a slot, by the path of the unit or block that has the slot."""
    return {
        ".".join(map(str, path[: path.index(slot)])): module
        for path, module in nnx.iter_modules(model)
        if slot in path and isinstance(module, kind)
    }


@dataclasses.dataclass(frozen=True)
class Family:
    """Names that one official code base gives the arrays of one kind of backbone.

    `heads` are the names that it gives the classifier, our `fc`, without the prefix,
    and `head_leaves` its arrays.
    `recognise` looks at all names of a state dict. `rename(model)` gives what has the
    last word on a module's official name (without the prefix), from our path and that
    name: TSM adds `.net` to what is shifted. `check(model, head)` raises a ValueError
    where arrays would mean something else in the model than names and shapes can say;
    `head` is `load_torch`'s.
    """

    name: str
    backbone: type[nnx.Module]
    recognise: Callable[[set[str]], bool]
    rules: tuple[Rule, ...]
    prefix: str = ""
    heads: tuple[str, ...] = ("fc",)
    head_leaves: Mapping[str, Leaf] = dataclasses.field(default_factory=lambda: CONV)
    rename: Callable[[nnx.Module], Callable[[str, str], str]] = lambda model: (
        lambda ours, theirs: theirs
    )
    check: Callable[[nnx.Module, str], None] = lambda model, head: None

    def names(self, model: nnx.Module) -> Callable[[str], tuple[str, Leaf]]:
        """Returns a function from a variable's dotted path to its official name and leaf.

        It raises a ValueError where no rule knows the path: no such official model
        exists.
        """
        rename = self.rename(model)

        def official(path: str) -> tuple[str, Leaf]:
            ours, leaf = path.rsplit(".", 1)
            for rule in self.rules:
                match = re.fullmatch(rule.ours, ours)
                if match and leaf in rule.leaves:
                    groups = (int(g) if g.isdigit() else g for g in match.groups())
                    theirs = rule.leaves[leaf]
                    name = rename(ours, rule.theirs(*groups))
                    return f"{self.prefix}{name}.{theirs.name}", theirs
            raise ValueError(
                f"{path} has no name in checkpoints of family {self.name!r}"
            )

        return official
