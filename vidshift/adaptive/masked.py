"""A sub-network run by a wider one's program, whose other channels are zero."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from vidshift.kernels import Frames
from vidshift.layers.norm import batch_norms
from vidshift.nets import create
from vidshift.nets.weights import named_arrays


class Masked(nnx.Module):
    """A norm whose channels from `kept` on are zero."""

    use_running_average = False  # a unit does not fold it into its convolution

    def __init__(self, norm: nnx.Module, kept: Int[Array, ""]):
        self.norm, self.kept = norm, nnx.data(kept)

    def __call__(self, x: Frames | jax.Array) -> Frames | jax.Array:
        y = self.norm(x)
        data = y.data if isinstance(y, Frames) else y
        data = jnp.where(jnp.arange(data.shape[-1]) < self.kept, data, 0)
        return y.like(data) if isinstance(y, Frames) else data


def mask(
    network: nnx.Module, kept: Int[Array, " norms"], least: Int[np.ndarray, " norms"]
) -> None:
    """Leaves each norm its first `kept` channels, in the order of `batch_norms`.

    Norms that have `least` channels, those of the narrowest network, stay as they are.

    Values and gradients are then those of the slices that a narrower network takes: a
    channel of zeros adds nothing to the next convolution, and none of its weights learn.
    """
    for number, (path, norm) in enumerate(batch_norms(network)):
        if norm.scale.shape[0] == least[number]:
            continue
        *way, name = path
        owner = network
        for part in way:
            owner = owner[part] if isinstance(part, int) else getattr(owner, part)
        setattr(owner, name, Masked(norm, kept[number]))


def channels(model: Mapping[str, Any]) -> Int[np.ndarray, " norms"]:
    """Returns the channels of each norm of a network, by its `vidshift.create` arguments."""
    norms = batch_norms(nnx.eval_shape(lambda: create(**model)))
    return np.array([norm.scale.shape[0] for _, norm in norms], np.int32)


def check_masks(model: Mapping[str, Any], narrower: Mapping[str, Any]) -> None:
    """Refuses a network of which masked norms would not be a slice.

    Raises:
      ValueError: a narrowed layer has no norm of its own behind it.
    """
    full, thin = (
        named_arrays(nnx.eval_shape(lambda model=model: create(**model)), nnx.Param)
        for model in (model, narrower)
    )
    for name, array in full.items():
        layer, _, leaf = name.rpartition(".")
        unit = layer.rpartition(".")[0]
        if (
            leaf in ("kernel", "bias")
            and array.shape[-1] != thin[name].shape[-1]
            and not layer.endswith("norm")
            and f"{unit}.norm.scale" not in full
        ):
            raise ValueError(
                "adaptive.width_draw=uniform needs a batch norm behind every narrowed "
                f"layer, and {layer} of {model['backbone']} has none: take grid"
            )
