"""Refusals that names and shapes cannot decide: weights that mean something else here."""

from collections.abc import Callable

import jax
from flax import nnx

from vidshift.shifts import FrameMixer
from vidshift.shifts.temporal import TemporalShift

# (model, `load_torch`'s head) -> None, or a ValueError.
Check = Callable[[nnx.Module, str], None]


def all_of(*checks: Check) -> Check:
    """Runs several checks."""

    def check(model: nnx.Module, head: str) -> None:
        for one in checks:
            one(model, head)

    return check


def refuse_causal(model: nnx.Module, head: str) -> None:
    """Refuses a causal model, since names do not tell which frames a layer reads.

    Causal TSM's first fold is another frame than any that an offline network has there.
    Layers that learn can do so from where they are: without the classifier they may
    begin with weights of a network that reads both ways.
    """
    mixers = (m for _, m in nnx.iter_modules(model) if isinstance(m, FrameMixer))
    for layer in mixers:
        if layer.causal and isinstance(layer, TemporalShift):
            raise ValueError(
                "the state dict is one of TSM's training code, whose shifts read the next "
                "frame where those of a causal network read the previous one: its weights "
                "do not fit the model, which is causal"
            )
        if layer.causal and head == "load":
            raise ValueError(
                "the state dict is of a network that reads later frames, and the model is "
                'causal: its classifier does not fit; head="skip" (--skip-head) takes '
                "the rest as initial weights"
            )


def refuse_head_unless(*known: type[FrameMixer]) -> Check:
    """Refuses a head if the model mixes frames by layers that no such file is of.

    Layers that have arrays are left to the comparison of names.

    Args:
      known: layers without arrays that a family's networks may have.
    """

    def check(model: nnx.Module, head: str) -> None:
        for _, module in nnx.iter_modules(model):
            unknown = isinstance(module, FrameMixer) and not isinstance(module, known)
            if head == "skip" or not unknown:
                continue
            if not jax.tree.leaves(nnx.state(module, nnx.Param)):
                raise ValueError(
                    "the state dict is of a network that was trained without "
                    f"{module.title}, the model has it: its classifier does not fit; "
                    'head="skip" (--skip-head) takes the rest as initial weights'
                )

    return check
