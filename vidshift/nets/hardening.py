"""A trained network as it is evaluated: a RubiksNet's attention becomes whole shifts."""

import functools
from collections.abc import Callable

import numpy as np
from flax import nnx

from vidshift.nets.weights import Arrays, Skeleton, split
from vidshift.nets.zoo import create
from vidshift.shifts.attention import harden, undecided


def for_evaluation(
    model: dict, *, soft: bool = False
) -> tuple[Skeleton, Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]]:
    """Returns a network without its arrays, and the function that makes them.

    Args:
      model: arguments of `vidshift.create`, of the network that was trained.
      soft: leave the attention as it was trained.

    Returns:
      The skeleton, and (trained parameters, statistics) -> (parameters, statistics).
    """
    as_evaluated = lambda params, stats: (params, stats)
    if has_attention(model) and not soft:
        as_evaluated = functools.partial(harden, causal=model.get("causal", False))
        model = model | {"hardened": True}
        model = {k: v for k, v in model.items() if k != "attention_init"}
    skeleton, _, _ = split(nnx.eval_shape(lambda: create(**model)))
    return skeleton, as_evaluated


def has_attention(model: dict) -> bool:
    """Says whether a network (arguments of `vidshift.create`) has attention to harden."""
    return model.get("variant") == "attention" and not model.get("hardened")


def hardening(model: dict, params: Arrays, stats: Arrays) -> dict:
    """Returns figures of what hardening changes; {} for a network without attention.

    `moved_channels` is the fraction that move, the mean over layers (equation 8 of the
    paper); `attention_channels` and `undecided_channels` are numbers over all layers.
    """
    if not has_attention(model):
        return {}
    _, hardened = harden(params, stats, causal=model.get("causal", False))
    distances = [np.asarray(a) for n, a in hardened.items() if n.endswith(".distance")]
    return {
        "moved_channels": float(np.mean([(d != 0).mean() for d in distances])),
        "attention_channels": sum(d.size for d in distances),
        "undecided_channels": sum(undecided(params, stats).values()),
    }
