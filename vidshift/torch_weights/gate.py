"""Names of gates: the official GSM and GSF modules' own."""

from collections.abc import Callable

from vidshift.torch_weights.rules import CONV, NORM, Rule

# Our part of a gate -> the official one. Kernels need nothing but channels last: the
# gate's `[out, in, T, H, W]`, the fusion's `[out, in, channel, time]`.
PARTS = {
    "norm": ("bn", NORM),
    "gate": ("conv3D", CONV),
    r"fusion\.0": ("channel_conv1", CONV),
    r"fusion\.1": ("channel_conv2", CONV),
}


def gate_rules(unit: str, official: Callable[..., str]) -> tuple[Rule, ...]:
    """Rules for the gate between convolution and norm of the units that match.

    Args:
      unit: regular expression of our unit's path, such as
        `stages\\.(\\d+)\\.(\\d+)\\.units\\.2`.
      official: takes its groups and gives the official name of the gate module, such as
        `layer1.0.gsf`.
    """

    def rule(part: str, theirs: str, leaves) -> Rule:
        return Rule(
            rf"{unit}\.between\.{part}",
            lambda *groups: f"{official(*groups)}.{theirs}",
            leaves,
        )

    return tuple(rule(part, *named) for part, named in PARTS.items())
