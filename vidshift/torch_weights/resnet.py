"""Names of ResNets and ResNeXts: torchvision's, and the official TSM code's."""

from flax import nnx

from vidshift.nets.resnet import ResNet
from vidshift.shifts.non_local import NonLocal
from vidshift.shifts.temporal import TemporalShift
from vidshift.shifts.temporal_pool import TemporalPool
from vidshift.torch_weights.checks import all_of, refuse_causal, refuse_head_unless
from vidshift.torch_weights.gate import gate_rules
from vidshift.torch_weights.rules import (
    CONV,
    NORM,
    Family,
    Rule,
    layers_in,
    unit_rules,
)

BLOCK = r"stages\.(\d+)\.(\d+)"


def _in_block(*names: str):
    """Official names of a block's modules, from its numbers and its unit's."""
    return [lambda s, b, u=0, n=n: f"layer{s + 1}.{b}.{n.format(u + 1)}" for n in names]


RULES = (
    *unit_rules("stem", lambda: "conv1", lambda: "bn1"),
    *unit_rules(BLOCK + r"\.units\.(\d+)", *_in_block("conv{}", "bn{}")),
    *unit_rules(BLOCK + r"\.shortcut", *_in_block("downsample.0", "downsample.1")),
    *(
        Rule(BLOCK + rf"\.after\.{ours}", *_in_block(f"nl.{theirs}"), leaves)
        for ours, theirs, leaves in (
            ("theta", "theta", CONV),
            # Each in a sequence with what follows it.
            ("phi", "phi.0", CONV),
            ("g", "g.0", CONV),
            (r"out\.conv", "W.0", CONV),
            (r"out\.norm", "W.1", NORM),
        )
    ),
    # Official networks have their gates after the last convolution of a bottleneck.
    *gate_rules(BLOCK + r"\.units\.2", *_in_block("gsf")),
)


def with_wrappers(model: nnx.Module):
    """Renames modules that the official TSM code wraps, by one more part of the name.

    A shifted convolution or block, and a whole layer that is pooled over time before, is
    a `.net`; a block that a non-local block follows is a `.block` beside its `.nl`.
    """

    shifted = layers_in(model, "before", TemporalShift)
    pooled = layers_in(model, "before", TemporalPool)
    attended = layers_in(model, "after", NonLocal)

    def rename(ours: str, theirs: str) -> str:
        stage, block, unit = (".".join(ours.split(".")[:n]) for n in (2, 3, 5))
        official = theirs.split(".")
        if len(official) > 2 and official[2] != "nl":
            wrappers = ["block"] * (block in attended) + ["net"] * (block in shifted)
            official[2:2] = wrappers
        if f"{stage}.0" in pooled:
            official.insert(1, "net")
        if unit in shifted and ours.endswith(".conv"):
            official.append("net")
        return ".".join(official)

    return rename


def _has(key: str, part: str = ""):
    return lambda names: key in names and any(part in name for name in names)


OFFICIAL = {
    "backbone": ResNet,
    "rules": RULES,
    "prefix": "base_model.",
    "heads": ("new_fc", "base_model.fc"),
    "rename": with_wrappers,
    "check": all_of(refuse_causal, refuse_head_unless(TemporalShift, TemporalPool)),
}
FAMILIES = (
    # The gated networks' code has TSM's names for the rest.
    Family(
        "gsf", recognise=_has("base_model.layer1.0.bn1.weight", ".gsf."), **OFFICIAL
    ),
    Family("tsm", recognise=_has("base_model.layer1.0.bn1.weight"), **OFFICIAL),
    # Blocks that are shifted whole.
    Family("tsm", recognise=_has("base_model.layer1.0.net.bn1.weight"), **OFFICIAL),
    # Torchvision's have no wrapper; without their head they initialise any network whose
    # scheme has no arrays of its own.
    Family(
        "torchvision",
        ResNet,
        _has("layer1.0.bn1.weight"),
        RULES,
        check=refuse_head_unless(),
    ),
)
