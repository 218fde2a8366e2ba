"""What names and shapes cannot tell: weights that mean something else in the model."""

from collections.abc import Callable

from flax import nnx

from vidshift.shifts.shuffle import VideoShuffle
from vidshift.shifts.temporal import TemporalShift
from vidshift.shifts.temporal_pool import TemporalPool

# (model, `load_torch`'s head) -> None, or a ValueError.
Check = Callable[[nnx.Module, str], None]


def all_of(*checks: Check) -> Check:
    def check(model: nnx.Module, head: str) -> None:
        for one in checks:
            one(model, head)

    return check


def _has(model: nnx.Module, kind: type[nnx.Module]) -> bool:
    return any(isinstance(module, kind) for _, module in nnx.iter_modules(model))


def refuse_causal(model: nnx.Module, head: str) -> None:
    """Names do not tell which way a convolution's input was shifted."""
    del head
    shifts = (m for _, m in nnx.iter_modules(model) if isinstance(m, TemporalShift))
    if any(shift.direction == "past" for shift in shifts):
        raise ValueError(
            "the state dict is one of TSM's training code, whose shifts read the next "
            "frame where those of a causal network read the previous one: its weights "
            "do not fit the model, which is causal"
        )


def refuse_pool(model: nnx.Module, head: str) -> None:
    """Where the official code pools no frames; its ResNets' names tell."""
    if head == "load" and _has(model, TemporalPool):
        raise ValueError(
            "the state dict is of a network that pools no frames, the model pools them "
            '(temporal_pool): its classifier does not fit; head="skip" takes the rest '
            "as initial weights"
        )


def refuse_head_under(kind: type[nnx.Module], scheme: str) -> Check:
    """Where no official network of the family has such layers."""

    def check(model: nnx.Module, head: str) -> None:
        if head == "load" and _has(model, kind):
            raise ValueError(
                f"the state dict is of a network that was trained without {scheme}, "
                'the model has it: its classifier does not fit; head="skip" takes the '
                "rest as initial weights"
            )

    return check


refuse_head_under_shuffle = refuse_head_under(VideoShuffle, "VSN's shuffle")
refuse_head_under_shift = refuse_head_under(TemporalShift, "TSM's shift")
