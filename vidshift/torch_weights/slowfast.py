"""Names of Slow and SlowFast: SlowFast's own repository's, and PyTorchVideo's.

Both code bases store the inputs of a fused block as [slow, lateral] and those of the
classifier as [slow, fast]; ours are the other way round (`vidshift.nets.slowfast`).
"""

from collections.abc import Mapping

import numpy as np

from vidshift.nets.slowfast import FAST, LATERAL, Slow, SlowFast
from vidshift.torch_weights.rules import (
    CONV,
    Family,
    Leaf,
    Rule,
    channels_last,
    unit_rules,
)

# Slow's layers have no pathway in their path.
PATHWAY = r"(|slow\.|fast\.)"
BLOCK = PATHWAY + r"stages\.(\d+)\.(\d+)"


def last_inputs_first(count: int) -> dict[str, Leaf]:
    """Leaves of a convolution or linear layer whose `count` last inputs come first here."""

    def to_ours(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        array = channels_last(array, shape)
        return array if array.ndim < 2 else np.roll(array, count, axis=-2)

    return CONV | {"kernel": Leaf("weight", to_ours)}


def rules(
    *,
    pathways: Mapping[str, str],
    stem: tuple[str, str],
    unit: tuple[str, str],
    shortcut: tuple[str, str],
    lateral: tuple[str, str],
    first_stage: int,
    first_lateral: int,
) -> tuple[Rule, ...]:
    """A code base's names of (convolution, norm), with what differs in braces.

    Args:
      pathways: `{pathway}` by ours.
      first_stage, first_lateral: where `{stage}` and lateral `{index}` start.
    """

    def pair(ours, names, fields, leaves=CONV):
        conv, norm = (lambda *p, n=n: n.format(**fields(*p)) for n in names)
        return unit_rules(ours, conv, norm, conv_leaves=leaves)

    def in_block(pathway, stage, block, unit=0):
        return {
            "pathway": pathways[pathway],
            "stage": stage + first_stage,
            "block": block,
            "unit": "abc"[unit],
        }

    fused = []
    for stage, count in enumerate(LATERAL):
        block, leaves = rf"(slow\.)stages\.({stage})\.(0)", last_inputs_first(count)
        fused += pair(block + r"\.units\.(0)", unit, in_block, leaves)
        fused += pair(block + r"\.shortcut", shortcut, in_block, leaves)
    return (
        *fused,  # before the same paths below: the first that fits counts
        *pair(PATHWAY + "stem", stem, lambda p: {"pathway": pathways[p]}),
        *pair(BLOCK + r"\.units\.(\d+)", unit, in_block),
        *pair(BLOCK + r"\.shortcut", shortcut, in_block),
        *pair(r"lateral\.(\d+)", lateral, lambda i: {"index": i + first_lateral}),
    )


PYSLOWFAST = rules(
    pathways={"": "pathway0", "slow.": "pathway0", "fast.": "pathway1"},
    stem=("s1.{pathway}_stem.conv", "s1.{pathway}_stem.bn"),
    unit=(
        "s{stage}.{pathway}_res{block}.branch2.{unit}",
        "s{stage}.{pathway}_res{block}.branch2.{unit}_bn",
    ),
    shortcut=(
        "s{stage}.{pathway}_res{block}.branch1",
        "s{stage}.{pathway}_res{block}.branch1_bn",
    ),
    lateral=("s{index}_fuse.conv_f2s", "s{index}_fuse.bn"),
    first_stage=2,
    first_lateral=1,
)
PYTORCHVIDEO = rules(
    pathways={
        "": "",
        "slow.": "multipathway_blocks.0.",
        "fast.": "multipathway_blocks.1.",
    },
    stem=("blocks.0.{pathway}conv", "blocks.0.{pathway}norm"),
    unit=(
        "blocks.{stage}.{pathway}res_blocks.{block}.branch2.conv_{unit}",
        "blocks.{stage}.{pathway}res_blocks.{block}.branch2.norm_{unit}",
    ),
    shortcut=(
        "blocks.{stage}.{pathway}res_blocks.{block}.branch1_conv",
        "blocks.{stage}.{pathway}res_blocks.{block}.branch1_norm",
    ),
    lateral=(
        "blocks.{index}.multipathway_fusion.conv_fast_to_slow",
        "blocks.{index}.multipathway_fusion.norm",
    ),
    first_stage=1,
    first_lateral=0,
)
FUSED_HEAD = last_inputs_first(FAST.outer[-1])


def families(
    name: str,
    rules: tuple[Rule, ...],
    *,
    slow: str,
    fast: str,
    heads: tuple[str, str],
    prefix: str = "",
) -> tuple[Family, Family]:
    """Slow's family and SlowFast's.

    Args:
      slow, fast: names of an array of each; SlowFast's may have Slow's too.
      heads: names of the classifiers.
    """
    slow, fast, *heads = (prefix + part for part in (slow, fast, *heads))
    shared = {"rules": rules, "prefix": prefix}
    return (
        Family(
            name,
            Slow,
            lambda names: slow in names and fast not in names,
            heads=(heads[0],),
            **shared,
        ),
        Family(
            name,
            SlowFast,
            lambda names: fast in names,
            heads=(heads[1],),
            head_leaves=FUSED_HEAD,
            **shared,
        ),
    )


FAMILIES = (
    *families(
        "pyslowfast",
        PYSLOWFAST,
        slow="s1.pathway0_stem.conv.weight",
        fast="s1.pathway1_stem.conv.weight",
        heads=("head.projection",) * 2,
    ),
    *(
        family
        # As SlowFast's repository saves PyTorchVideo's models that it trained.
        for prefix in ("", "model.")
        for family in families(
            "pytorchvideo",
            PYTORCHVIDEO,
            slow="blocks.0.conv.weight",
            fast="blocks.0.multipathway_blocks.1.conv.weight",
            heads=("blocks.5.proj", "blocks.6.proj"),
            prefix=prefix,
        )
    ),
)
