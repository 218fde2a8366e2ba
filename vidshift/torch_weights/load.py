"""Official PyTorch checkpoints into models, by tables of names, one a family.

Works from our side: every variable of the model has one official name, so what is
missing, unexpected or misshapen falls out of comparing two sets of names.
"""

import reprlib
from collections.abc import Container, Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift.torch_weights import inception, mobilenet_v2, resnet, rubiksnet, slowfast
from vidshift.torch_weights.rules import Family, Leaf

FAMILIES: tuple[Family, ...] = (
    *resnet.FAMILIES,
    *mobilenet_v2.FAMILIES,
    *inception.FAMILIES,
    *rubiksnet.FAMILIES,
    *slowfast.FAMILIES,
)


IMAGE_NETWORK = (
    'An image network\'s file fits its backbone under "tsn"; converted so, it initialises '
    "the backbone under every scheme (vidshift train --config.init)"
)


def load_torch(
    model: nnx.Module, state_dict: Mapping[str, np.ndarray], *, head: str = "load"
) -> None:
    """Loads an official state dict into a model, in place.

    Args:
      model: a network of `vidshift.create`.
      state_dict: arrays under official names, with or without a leading `module.`.
      head: "load" the classifier too, or "skip" it and keep the model's own.

    Raises:
      ValueError: it is no mapping of names; the family is not known, or is one of another
        backbone or of shifts in the other direction; with "load", the head was trained
        without a shift, a shuffle, a gate or the pooling of frames that the model has; or
        names are missing, unexpected or misshapen. One error lists all of these, and the
        model is left as it was.
    """
    if head not in ("load", "skip"):
        raise ValueError(f"head must be 'load' or 'skip', got {head!r}")
    named = isinstance(state_dict, Mapping)
    if not named or not all(isinstance(name, str) for name in state_dict):
        raise ValueError(
            "state_dict must be a mapping from names (str) to arrays, got "
            f"{reprlib.repr(state_dict)}"
        )
    # Of checkpoints of TSM, GSF, SlowFast, RubiksNet.
    for key in ("state_dict", "model_state_dict", "model_state", "model"):
        if key in state_dict:
            raise ValueError(f"this is a whole checkpoint: pass its [{key!r}]")
    given = {k.removeprefix("module."): v for k, v in state_dict.items()}
    family = recognise(model, set(given))
    family.check(model, head)
    of_head = {f"{h}.{leaf}" for h in family.heads for leaf in ("weight", "bias")}
    head_name = _head_name(family, given)
    wanted, nameless = _variables(model, family, head_name)
    if head == "skip":
        wanted = {name: row for name, row in wanted.items() if name not in of_head}

    if nameless:
        more = f" and {len(nameless) - 3} more" if len(nameless) > 3 else ""
        raise ValueError(
            f"the model has {', '.join(nameless[:3])}{more}, which no checkpoint of "
            f"family {family.name!r} has. {IMAGE_NETWORK}"
        )
    skipped = of_head if head == "skip" else set()
    arrays, misshapen = {}, []
    inflated = False  # I3D's kernels have an axis of time
    for name in wanted.keys() & given.keys():
        path, variable, leaf = wanted[name]
        array = leaf.to_ours(np.asarray(given[name]), variable.shape)
        if array.shape != variable.shape:
            misshapen.append(f"{name} {array.shape}, the model has {variable.shape}")
            inflated |= array.ndim == 4 and len(variable.shape) == 5
        arrays[path] = variable.replace(jnp.asarray(array, variable.dtype))
    problems = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unexpected": sorted(
            name
            for name in given.keys() - wanted.keys() - skipped
            if not name.endswith("num_batches_tracked")
        ),
        "misshapen (channels last)": sorted(misshapen),
    }
    if any(problems.values()):
        listed = "; ".join(f"{k}: {', '.join(v)}" for k, v in problems.items() if v)
        # What a scheme adds, of which an image network's file has nothing.
        own = {n for n, (path, *_) in wanted.items() if {"between", "after"} & {*path}}
        of_images = bool(own) and own.isdisjoint(given) or inflated
        hint = f". {IMAGE_NETWORK}" if of_images else ""
        raise ValueError(f"the state dict does not fit the model: {listed}{hint}")
    nnx.update(model, nnx.from_flat_state(arrays))


def official_names(model: nnx.Module, state_dict: Iterable[str]) -> dict[str, str]:
    """Returns the official name of each of a model's arrays, by our name.

    Args:
      model: a network of `vidshift.create`.
      state_dict: names of an official state dict of that network.

    Raises:
      ValueError: the family is not known, or is one of another backbone.
    """
    names = set(state_dict)
    family = recognise(model, names)
    variables, _ = _variables(model, family, _head_name(family, names))
    return {".".join(map(str, row[0])): name for name, row in variables.items()}


def _head_name(family: Family, names: Container[str]) -> str:
    return next((h for h in family.heads if f"{h}.weight" in names), family.heads[0])


def _variables(
    model: nnx.Module, family: Family, head_name: str
) -> tuple[dict[str, tuple[tuple, nnx.Variable, Leaf]], list[str]]:
    """Returns official name -> (our path, variable, leaf), and our names without one."""
    official = family.names(model)
    found, nameless = {}, []
    for path, variable in nnx.to_flat_state(
        nnx.state(model, (nnx.Param, nnx.BatchStat))
    ):
        ours = ".".join(map(str, path))
        if ours.startswith("fc."):
            leaf = family.head_leaves[ours.removeprefix("fc.")]
            name = f"{head_name}.{leaf.name}"
        else:
            try:
                name, leaf = official(ours)
            except ValueError:
                nameless.append(ours)
                continue
        found[name] = (path, variable, leaf)
    return found, nameless


def recognise(model: nnx.Module, names: set[str]) -> Family:
    """The family of a state dict with these names, one for the model's backbone."""
    found = [family for family in FAMILIES if family.recognise(names)]
    for family in found:
        if isinstance(model, family.backbone):
            return family
    if found:
        raise ValueError(
            f"the state dict is one of a {found[0].backbone.__name__} (family "
            f"{found[0].name!r}), the model is a {type(model).__name__}"
        )
    known = ", ".join(sorted({family.name for family in FAMILIES}))
    raise ValueError(
        f"the state dict belongs to no known family ({known}); it has {len(names)} "
        f"names ({', '.join(sorted(names)[:3])}...)"
    )
