"""Names of ResNets and ResNeXts: torchvision's, and the official TSM code's."""

from flax import nnx

from vidshift.nets.resnet import ResNet
from vidshift.shifts.temporal import TemporalShift
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
)


def with_wrappers(model: nnx.Module):
    """TSM's wrapper of a shifted block, or of a shifted convolution, is a `.net`."""
    shifted = {
        ".".join(map(str, path))
        for path, module in nnx.iter_modules(model)
        if isinstance(getattr(module, "before", None), TemporalShift)
    }

    def rename(ours: str, theirs: str) -> str:
        block, unit = (".".join(ours.split(".")[:n]) for n in (3, 5))
        official = theirs.split(".")
        if block in shifted and len(official) > 2:
            official.insert(2, "net")
        if unit in shifted and ours.endswith(".conv"):
            official.append("net")
        return ".".join(official)

    return rename


FAMILIES = (
    Family(
        "tsm",
        ResNet,
        lambda names: (
            "base_model.layer1.0.bn1.weight" in names
            or "base_model.layer1.0.net.bn1.weight" in names
        ),
        RULES,
        prefix="base_model.",
        heads=("new_fc", "base_model.fc"),
        rename=with_wrappers,
    ),
    # Torchvision's have no wrapper, and initialise a network under any scheme.
    Family("torchvision", ResNet, lambda names: "layer1.0.bn1.weight" in names, RULES),
)
