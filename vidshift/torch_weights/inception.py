"""Names of Inception networks: those of the official TSM, GSM and GSF code.

They are of Caffe's BN-Inception and of TensorFlow's Inception-V3, whose ports both codes
start from. TSM's shifts of whole stages have no names.
"""

import itertools

import numpy as np

from vidshift.nets.bn_inception import BNInception
from vidshift.nets.inception_v3 import InceptionV3
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.temporal import TemporalShift
from vidshift.torch_weights.checks import (
    Check,
    all_of,
    refuse_causal,
    refuse_head_unless,
)
from vidshift.torch_weights.gate import gate_rules
from vidshift.torch_weights.rules import CONV, NORM, Family, Leaf, Rule, unit_rules


def vector(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`[C]`, which the ImageNet files that GSM starts from keep as `[1, C]`."""
    return array[0] if array.shape == (1, *shape) else array


CONV_OR_ROW = {**CONV, "bias": Leaf("bias", vector)}
NORM_OR_ROW = {ours: Leaf(leaf.name, vector) for ours, leaf in NORM.items()}
UNIT = r"stages\.(\d+)\.(\d+)\.branches\.(\w+)\.units\.(\d+)"

BN_INCEPTION_UNITS = {
    "1x1": ("1x1",),
    "3x3": ("3x3_reduce", "3x3"),
    "double_3x3": ("double_3x3_reduce", "double_3x3_1", "double_3x3_2"),
    "pool": ("pool_proj",),
}


def of_bn_inception(stage: int, block: int, branch: str, unit: int) -> str:
    """`inception_3a_1x1`; the stage of conv2 is our stage 0."""
    name = BN_INCEPTION_UNITS[branch][unit]
    return f"inception_{stage + 2}{'abcde'[block]}_{name}"


FIRST_OF_STAGE = (0, 3, 8)  # of the blocks mixed, mixed_1, ..., mixed_10
TOWERS = {"1x1": "", "3x3": "_tower", "double_3x3": "_tower_1", "pool": "_tower_2"}


def of_inception_v3(stage: int, block: int, branch: str, unit: int) -> str:
    """`mixed_4_tower_1_conv_2`."""
    mixed = FIRST_OF_STAGE[stage] + block
    tower = TOWERS[branch]
    if mixed == 3:  # its single convolution stands for the branch 1x1 of others
        tower = {"3x3": "", "double_3x3": "_tower"}[branch]
    straight = {"3x3": 1, "double_3x3": 2}.get(branch)
    kind = "_conv"
    if mixed > 8 and straight is not None and unit >= straight:
        kind, unit = "_mixed_conv", unit - straight  # the two side by side
    number = f"_{unit}" if unit else ""
    return f"mixed{f'_{mixed}' if mixed else ''}{tower}{kind}{number}"


def rules(stem, of_block, *, conv: str, norm: str, gate: str) -> tuple[Rule, ...]:
    """The rules of a network.

    Args:
      stem: our unit's path, as a regular expression, and its official name, each.
      of_block: gives the official name of a branch's unit.
      conv, norm: what ends the names of a unit's convolution and norm.
      gate: what begins the name of a gate, before the convolution's; "" knows no gates.
    """
    leaves = {"conv_leaves": CONV_OR_ROW, "norm_leaves": NORM_OR_ROW}
    units = (
        unit_rules(path, _named("", name, conv), _named("", name, norm), **leaves)
        for path, name in (*stem, (UNIT, of_block))
    )
    gates = gate_rules(UNIT, _named(gate, of_block, conv)) if gate else ()
    return (*itertools.chain(*units), *gates)


def _named(begin: str, name, end: str):
    return lambda *groups: f"{begin}{name(*groups)}{end}"


def _one_of(*names: str):
    return lambda unit: names[unit]


BN_INCEPTION = {
    "stem": (
        (r"stem\.0\.units\.(\d+)", _one_of("conv1_7x7_s2")),
        (r"stages\.0\.0\.units\.(\d+)", _one_of("conv2_3x3_reduce", "conv2_3x3")),
    ),
    "of_block": of_bn_inception,
    "conv": "",
    "norm": "_bn",
}
INCEPTION_V3 = {
    "stem": (
        (r"stem\.0\.units\.(\d+)", _one_of("conv", "conv_1", "conv_2")),
        (r"stem\.1\.units\.(\d+)", _one_of("conv_3", "conv_4")),
    ),
    "of_block": of_inception_v3,
    "conv": "_Conv2D",
    "norm": "_batchnorm",
}


def _families(backbone, table: dict, *, first: str, heads: tuple[str, ...]):
    """Families of GSF, GSM, neither (TSN, TSM's BN-Inception), and ImageNet."""

    def trained(name: str, gate: str, check: Check) -> Family:
        def recognise(names):
            gates = any(n.startswith(f"base_model.{gate}") for n in names)
            return f"base_model.{first}" in names and gates

        return Family(
            name,
            backbone,
            recognise,
            rules(**table, gate=gate),
            prefix="base_model.",
            heads=("new_fc", *(f"base_model.{head}" for head in heads)),
            check=check,
        )

    gated = all_of(refuse_causal, refuse_head_unless(TemporalShift, GateShiftFuse))
    shifted = all_of(refuse_causal, refuse_head_unless(TemporalShift))
    return (
        trained("gsf", "gsf_", gated),
        trained("gsm", "gsm_", gated),
        trained("tsm", "", shifted),
        Family(
            "imagenet",
            backbone,
            lambda names: first in names,
            rules(**table, gate=""),
            heads=heads,
            check=refuse_head_unless(),
        ),
    )


FAMILIES = (
    # Cadene's port calls the classifier last_linear.
    *_families(
        BNInception,
        BN_INCEPTION,
        first="conv1_7x7_s2.weight",
        heads=("fc", "last_linear"),
    ),
    *_families(
        InceptionV3,
        INCEPTION_V3,
        first="conv_Conv2D.weight",
        heads=("top_cls_fc",),
    ),
)
