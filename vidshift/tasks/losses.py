"""Losses of a batch's logits `[B, classes]`."""

import jax
import optax
from jaxtyping import Array, Float, Int, UInt8


def cross_entropy(
    logits: Float[Array, "B classes"],
    labels: Int[Array, " B"],
    *,
    label_smoothing: float,
) -> Float[Array, ""]:
    """Means over the batch; smoothing mixes the target with the uniform distribution."""
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    targets = optax.smooth_labels(targets, label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def binary_cross_entropy(
    logits: Float[Array, "B classes"], labels: UInt8[Array, "B classes"]
) -> Float[Array, ""]:
    """Means over the batch and the classes, each class a question of its own.

    SlowFast's official code has it for Charades: PyTorch's `BCEWithLogitsLoss`.
    """
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()
