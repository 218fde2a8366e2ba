"""Names of ResNets and ResNeXts: torchvision's, and the official TSM code's."""

from flax import nnx

from vidshift.nets.resnet import ResNet
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.non_local import NonLocal
from vidshift.shifts.shuffle import VideoShuffle
from vidshift.shifts.temporal import TemporalShift
from vidshift.shifts.temporal_pool import TemporalPool
from vidshift.torch_weights.checks import (
    WITHOUT_ARRAYS,
    all_of,
    refuse_causal,
    refuse_head_with,
)
from vidshift.torch_weights.gate import gate_rules
from vidshift.torch_weights.rules import CONV, NORM, Family, Rule

BLOCK = r"stages\.(\d+)\.(\d+)"
RULES = (
    Rule(r"stem\.conv", lambda: "conv1", CONV),
    Rule(r"stem\.norm", lambda: "bn1", NORM),
    Rule(
        BLOCK + r"\.units\.(\d+)\.conv",
        lambda s, b, u: f"layer{s + 1}.{b}.conv{u + 1}",
        CONV,
    ),
    Rule(
        BLOCK + r"\.units\.(\d+)\.norm",
        lambda s, b, u: f"layer{s + 1}.{b}.bn{u + 1}",
        NORM,
    ),
    Rule(
        BLOCK + r"\.shortcut\.conv",
        lambda s, b: f"layer{s + 1}.{b}.downsample.0",
        CONV,
    ),
    Rule(
        BLOCK + r"\.shortcut\.norm",
        lambda s, b: f"layer{s + 1}.{b}.downsample.1",
        NORM,
    ),
    *(
        Rule(
            BLOCK + rf"\.after\.{ours}",
            lambda s, b, theirs=theirs: f"layer{s + 1}.{b}.nl.{theirs}",
            leaves,
        )
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
    *gate_rules(BLOCK + r"\.units\.2", lambda s, b: f"layer{s + 1}.{b}.gsf"),
)


def with_wrappers(model: nnx.Module):
    """What the official TSM code wraps has one more part in its name.

    A shifted convolution or block, and a whole layer that is pooled over time before, is
    a `.net`; a block that a non-local block follows is a `.block` beside its `.nl`.
    """

    def having(slot: str, kind: type[nnx.Module]) -> set[str]:
        return {
            ".".join(map(str, path[: path.index(slot)]))
            for path, module in nnx.iter_modules(model)
            if slot in path and isinstance(module, kind)
        }

    shifted = having("before", TemporalShift)
    pooled = having("before", TemporalPool)
    attended = having("after", NonLocal)

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
    "check": all_of(refuse_causal, refuse_head_with(VideoShuffle, GateShiftFuse)),
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
        check=refuse_head_with(*WITHOUT_ARRAYS),
    ),
)
