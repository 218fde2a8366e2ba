"""Official PyTorch checkpoints into models: tables of names, one a family.

Works from our side: every variable of the model has one official name, so what is
missing, unexpected or misshapen falls out of comparing two sets of names.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

# Our leaf name -> PyTorch's.
CONV = {"kernel": "weight", "bias": "bias"}
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

# (our path, its numbers -> the official path, leaf names). "<net>" stands where TSM's
# wrapper of a shifted block or convolution adds a name of its own.
BLOCK = r"stages\.(\d+)\.(\d+)"
RESNET_RULES = (
    (r"stem\.conv", lambda: "conv1", CONV),
    (r"stem\.norm", lambda: "bn1", NORM),
    (
        BLOCK + r"\.units\.(\d+)\.conv",
        lambda s, b, u: f"layer{s + 1}.{b}<net>.conv{u + 1}<net>",
        CONV,
    ),
    (
        BLOCK + r"\.units\.(\d+)\.norm",
        lambda s, b, u: f"layer{s + 1}.{b}<net>.bn{u + 1}",
        NORM,
    ),
    (
        BLOCK + r"\.shortcut\.conv",
        lambda s, b: f"layer{s + 1}.{b}<net>.downsample.0",
        CONV,
    ),
    (
        BLOCK + r"\.shortcut\.norm",
        lambda s, b: f"layer{s + 1}.{b}<net>.downsample.1",
        NORM,
    ),
)


@dataclasses.dataclass(frozen=True)
class Family:
    """How one official code base names things.

    `wraps`: shifted modules carry a `.net` (TSM); torchvision's ImageNet networks have
    none, and initialise a network under any scheme.
    """

    prefix: str
    heads: tuple[str, ...]
    wraps: bool
    recognise: Callable[[set[str]], bool]


FAMILIES = {
    "tsm": Family(
        "base_model.",
        ("new_fc", "base_model.fc"),
        True,
        lambda names: any(n.startswith("base_model.") for n in names),
    ),
    "torchvision": Family("", ("fc",), False, lambda names: "conv1.weight" in names),
}


def load_torch(
    model: nnx.Module, state_dict: Mapping[str, np.ndarray], *, head: str = "load"
) -> None:
    """Loads an official state dict into a model, in place.

    Known families: TSM/TSN ResNets (`base_model.conv1.weight`, `.net` on what is
    shifted, `new_fc` or, where trained without dropout, `base_model.fc`) and
    torchvision's ImageNet ResNets (`conv1.weight`), which also fit a shifted network.

    Args:
      model: a network of `vidshift.create`.
      state_dict: arrays under official names, with or without a leading `module.`.
      head: "load" the classifier too, or "skip" it and keep the model's own.

    Raises:
      ValueError: the family is not known, or names are missing, unexpected or
        misshapen; one error lists all of them, and the model is left as it was.
    """
    if head not in ("load", "skip"):
        raise ValueError(f"head must be 'load' or 'skip', got {head!r}")
    if "state_dict" in state_dict:
        raise ValueError("this is a whole checkpoint: pass its ['state_dict']")
    given = {k.removeprefix("module."): v for k, v in state_dict.items()}
    family = recognise(set(given))
    head_name = next(
        (h for h in family.heads if f"{h}.weight" in given), family.heads[0]
    )
    of_head = {f"{h}.{leaf}" for h in family.heads for leaf in ("weight", "bias")}
    wrapped = shifted_paths(model) if family.wraps else set()

    wanted = {}  # official name -> (our path, variable)
    for path, variable in nnx.to_flat_state(nnx.state(model, is_weight)):
        name = official_name(path, family.prefix, head_name, wrapped)
        if not (head == "skip" and name in of_head):
            wanted[name] = (path, variable)

    skipped = of_head if head == "skip" else set()
    arrays, misshapen = {}, []
    for name in wanted.keys() & given.keys():
        path, variable = wanted[name]
        array = to_ours(np.asarray(given[name]))
        if array.shape != variable.shape:
            misshapen.append(f"{name} {array.shape}, the model has {variable.shape}")
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
        raise ValueError(f"the state dict does not fit the model: {listed}")
    nnx.update(model, nnx.from_flat_state(arrays))


def is_weight(path, variable) -> bool:
    return isinstance(variable, nnx.Param | nnx.BatchStat)


def recognise(names: set[str]) -> Family:
    for family in FAMILIES.values():
        if family.recognise(names):
            return family
    raise ValueError(
        f"the state dict belongs to no known family ({', '.join(FAMILIES)}); it has "
        f"{len(names)} names ({', '.join(sorted(names)[:3])}...)"
    )


def shifted_paths(model: nnx.Module) -> set[str]:
    """Dotted paths of the modules that have something in their `before` slot."""
    return {
        ".".join(map(str, path))
        for path, module in nnx.iter_modules(model)
        if getattr(module, "before", None) is not None
    }


def official_name(path: tuple, prefix: str, head: str, wrapped: set[str]) -> str:
    *parts, leaf = map(str, path)
    ours = ".".join(parts)
    if ours == "fc":
        return f"{head}.{CONV[leaf]}"
    for pattern, rule, leaves in RESNET_RULES:
        match = re.fullmatch(pattern, ours)
        if match:
            name = rule(*(int(number) for number in match.groups()))
            block, unit = ".".join(parts[:3]), ".".join(parts[:5])
            for owner in (block, unit):  # the block's "<net>" is the first one
                name = name.replace("<net>", ".net" if owner in wrapped else "", 1)
            return f"{prefix}{name}.{leaves[leaf]}"
    raise ValueError(
        f"{ours}.{leaf} has no official name: no such PyTorch model exists"
    )


def to_ours(array: np.ndarray) -> np.ndarray:
    """OIHW -> HWIO for convolutions, [out, in] -> [in, out] for linear layers."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T
