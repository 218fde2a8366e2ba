"""Names of MobileNetV2: the official TSM code's, its online demo's, and torchvision's.

What a file's names say of shifts decides where it may go:

- `tsm`, the training code's: a shifted convolution is a `.net`. Its channels [0, C/8)
  bring the next frame, where a causal network's bring the previous one, so a network
  fits only that shifts the same convolutions both ways, and none that is causal.
- `tsm_online`, bare names: the causal network of the online demo, and the same code
  base's network for images without any shift, cannot be told apart. With their
  classifier they fit a causal network or one that mixes no frames; without it
  (`head="skip"`) they initialise any.
- `torchvision`: a network for images. Without its classifier it initialises any.
"""

from itertools import accumulate

from flax import nnx

from vidshift.nets.mobilenet_v2 import STAGES, MobileNetV2
from vidshift.shifts.temporal import TemporalShift
from vidshift.torch_weights.checks import all_of, refuse_causal, refuse_head_unless
from vidshift.torch_weights.rules import Family, Rule, layers_in, unit_rules

# Blocks are numbered through all stages there; 0 is the stem.
FIRST = tuple(accumulate((length for _, _, length, _ in STAGES), initial=1))
UNIT = r"stages\.(\d+)\.(\d+)\.units\.(\d+)"


def rules(conv, norm) -> tuple[Rule, ...]:
    """Rules from what gives a unit's layers their places in its block's `conv`.

    `conv` and `norm` take the number of the unit, and whether it is the block's last.
    """

    def inside(place):
        def theirs(stage, block, unit):
            widens = STAGES[stage][0] > 1
            last = unit == (2 if widens else 1)
            return f"features.{FIRST[stage] + block}.conv.{place(unit, last)}"

        return theirs

    return (
        *unit_rules("stem", lambda: "features.0.0", lambda: "features.0.1"),
        *unit_rules(UNIT, inside(conv), inside(norm)),
        *unit_rules(
            "last",
            lambda: f"features.{FIRST[-1]}.0",
            lambda: f"features.{FIRST[-1]}.1",
        ),
    )


# Convolution, norm and activation of one unit after the other.
FLAT = rules(lambda unit, last: 3 * unit, lambda unit, last: 3 * unit + 1)
# A unit with an activation is a module of its own.
NESTED = rules(
    lambda unit, last: f"{unit}" if last else f"{unit}.0",
    lambda unit, last: f"{unit + 1}" if last else f"{unit}.1",
)


def directions(model: nnx.Module) -> dict[str, str]:
    """Path of a unit or block that is shifted -> in which direction."""
    shifts = layers_in(model, "before", TemporalShift)
    return {path: shift.direction for path, shift in shifts.items()}


def with_wrappers(model: nnx.Module):
    """TSM's wrapper of a shifted convolution is a `.net`."""
    shifted = directions(model)

    def rename(ours: str, theirs: str) -> str:
        wrapped = ours.endswith(".conv") and ours.removesuffix(".conv") in shifted
        return theirs + ".net" * wrapped

    return rename


def check_offline(model: nnx.Module, head: str) -> None:
    del head
    if not all("units" in path for path in directions(model)):
        raise ValueError(
            "the state dict is one of TSM's training code, whose MobileNetV2 shifts "
            'residual branches; the model, of placement="block", shifts whole blocks'
        )


def check_bare(model: nnx.Module, head: str) -> None:
    if head == "load" and "both" in directions(model).values():
        raise ValueError(
            "the state dict is one of TSM's online network, which reads the previous "
            "frame where the model reads the next one, or of a network without shifts: "
            'its classifier does not fit the model; head="skip" (--skip-head) takes the '
            "rest as initial weights"
        )
    if head == "load" and not all("units" in path for path in directions(model)):
        raise ValueError(
            "the state dict is one of TSM's online network, which shifts residual "
            'branches, or of a network without shifts; the model, of placement="block", '
            'shifts whole blocks: its classifier does not fit; head="skip" (--skip-head) '
            "takes the rest as initial weights"
        )


no_head_elsewhere = refuse_head_unless(TemporalShift)

FAMILIES = (
    Family(
        "tsm",
        MobileNetV2,
        lambda names: "base_model.features.0.0.weight" in names,
        FLAT,
        prefix="base_model.",
        # Trained without dropout, the classifier stays where it was.
        heads=("new_fc", "base_model.classifier"),
        rename=with_wrappers,
        check=all_of(refuse_causal, check_offline, no_head_elsewhere),
    ),
    Family(
        "tsm_online",
        MobileNetV2,
        lambda names: "features.1.conv.0.weight" in names,
        FLAT,
        heads=("classifier",),
        check=all_of(check_bare, no_head_elsewhere),
    ),
    Family(
        "torchvision",
        MobileNetV2,
        lambda names: "features.1.conv.0.0.weight" in names,
        NESTED,
        heads=("classifier.1",),
        check=refuse_head_unless(),
    ),
)
