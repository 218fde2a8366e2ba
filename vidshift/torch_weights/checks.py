"""What names and shapes cannot tell: weights that mean something else in the model."""

from collections.abc import Callable

import jax
from flax import nnx

from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.rubiks import Shift3D
from vidshift.shifts.shuffle import VideoShuffle
from vidshift.shifts.temporal import TemporalShift
from vidshift.shifts.temporal_pool import TemporalPool

# What mixes frames, and may have no array that a name could tell of.
WITHOUT_ARRAYS = {
    TemporalShift: "TSM's shift",
    VideoShuffle: "VSN's shuffle",
    TemporalPool: "pooling over time",
    GateShiftFuse: "a gate's shift",
}
# (model, `load_torch`'s head) -> None, or a ValueError.
Check = Callable[[nnx.Module, str], None]


def all_of(*checks: Check) -> Check:
    def check(model: nnx.Module, head: str) -> None:
        for one in checks:
            one(model, head)

    return check


def refuse_causal(model: nnx.Module, head: str) -> None:
    """Names do not tell which way a convolution's input was shifted.

    Causal TSM's first fold is another frame than any that an offline network has there.
    Gates and RubiksNet's shifts can learn from where they are: without the classifier
    they may begin with weights of a network that reads both ways.
    """
    for _, module in nnx.iter_modules(model):
        both_ways = isinstance(module, GateShiftFuse | Shift3D | AttentionShift)
        both_ways |= isinstance(module, WholeShift)
        if both_ways and module.causal and head == "load":
            raise ValueError(
                "the state dict is of a network that reads later frames, and the model is "
                'causal: its classifier does not fit; head="skip" (--skip-head) takes '
                "the rest as initial weights"
            )
    shifts = (m for _, m in nnx.iter_modules(model) if isinstance(m, TemporalShift))
    if any(shift.direction == "past" for shift in shifts):
        raise ValueError(
            "the state dict is one of TSM's training code, whose shifts read the next "
            "frame where those of a causal network read the previous one: its weights "
            "do not fit the model, which is causal"
        )


def refuse_head_with(*kinds: type[nnx.Module]) -> Check:
    """Of `WITHOUT_ARRAYS`, those that no network has whose file the family is of.

    Names tell of a layer that does have arrays.
    """

    def check(model: nnx.Module, head: str) -> None:
        for _, module in nnx.iter_modules(model):
            if head == "skip" or not isinstance(module, kinds):
                continue
            if not jax.tree.leaves(nnx.state(module, nnx.Param)):
                raise ValueError(
                    "the state dict is of a network that was trained without "
                    f"{WITHOUT_ARRAYS[type(module)]}, the model has it: its classifier "
                    'does not fit; head="skip" (--skip-head) takes the rest as initial '
                    "weights"
                )

    return check
