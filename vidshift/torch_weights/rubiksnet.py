"""Names of RubiksNets: those of the official code, all tiers and variants."""

from functools import partial

import numpy as np

from vidshift.nets.rubiksnet import RubiksNet
from vidshift.torch_weights.checks import refuse_causal
from vidshift.torch_weights.rules import (
    CONV,
    NORM,
    Family,
    Leaf,
    Rule,
    as_it_is,
    channels_last,
)


def pointwise(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A 1x1 convolution's `[out, in, 1, 1]`, or a linear layer's, as `[in, out]`."""
    if array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    return channels_last(array, shape)


def within(array: np.ndarray, shape: tuple[int, ...], *, bound: float) -> np.ndarray:
    """A shift as it is, where the model can do it."""
    furthest = float(np.abs(array).max(initial=0.0))
    if not np.isfinite(furthest):
        raise ValueError(f"a shift goes {furthest} places: the file is damaged")
    if furthest > bound:
        raise ValueError(
            f"a shift goes {furthest:.2f} places, the model's max_shift={bound:g}: "
            f"create it with max_shift={np.ceil(furthest):g} or more"
        )
    return array


BLOCK = r"stages\.(\d+)\.(\d+)"
POINTWISE = {"kernel": Leaf("weight", pointwise)}
SHIFT = Leaf("shift", as_it_is)


def _of_block(ours: str, theirs: str, leaves) -> Rule:
    return Rule(rf"{BLOCK}\.{ours}", lambda s, b: f"layer{s}.{b}.{theirs}", leaves)


RULES = (
    Rule("stem", lambda: "conv1", CONV),
    Rule("norm", lambda: "bn_last", NORM),
    _of_block("norm", "bn1", NORM),
    _of_block(
        "attention",
        "conv2.0",
        {"weight": Leaf("weight", as_it_is), "temperature": Leaf("T", as_it_is)},
    ),
    _of_block(r"unit\.conv", "conv2", POINTWISE),
    _of_block(r"unit\.norm", "bn2", NORM),
    _of_block("shift", "as3", {"shift": SHIFT}),
    _of_block(r"se\.down", "se.fc.0", POINTWISE),
    _of_block(r"se\.up", "se.fc.2", POINTWISE),
    _of_block("out", "conv3", POINTWISE),
    _of_block("shortcut", "shortcut", POINTWISE),
)


def of_variant(model: RubiksNet):
    """The 3-D shift is a module in a module; attention and conv2 are a sequence."""

    def rename(ours: str, theirs: str) -> str:
        if model.kind.in_time and theirs.endswith(".as3"):
            return f"{theirs}.rubiks3d"
        if model.kind.attention and theirs.endswith(".conv2"):
            return f"{theirs}.1"
        return theirs

    return rename


class RubiksNetFamily(Family):
    """Refuses shifts beyond the model's bound: those would not be the official ones."""

    def names(self, model: RubiksNet):
        official = super().names(model)
        checked = SHIFT._replace(to_ours=partial(within, bound=model.max_shift))

        def names(path: str) -> tuple[str, Leaf]:
            name, leaf = official(path)
            return name, checked if leaf is SHIFT else leaf

        return names


FAMILIES = (
    RubiksNetFamily(
        "rubiksnet",
        RubiksNet,
        lambda names: "backbone.layer0.0.conv3.weight" in names,
        RULES,
        prefix="backbone.",
        heads=("new_fc",),
        rename=of_variant,
        check=refuse_causal,
    ),
)
