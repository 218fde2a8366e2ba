"""The loss of a batch. Its labels say which: `[B]` are one a clip.

Several labels a clip are multi-hot, uint8 `[B, classes]`: 1 at a clip's classes, 0
elsewhere. One label for each of several tasks is int32 `[B, tasks]`.
"""

import itertools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from vidshift.training.config import Config


def loss_and_top1(
    logits: jax.Array,
    labels: jax.Array,
    *,
    label_smoothing: float,
    tasks: Mapping[str, int] | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The loss that the labels ask for, and the share of clips that are right.

    A clip is right where its highest logit is that of its label, or of any of several.
    Of several tasks the loss is the sum of theirs, and a clip is right where the last of
    them is: EPIC-Kitchens' action.

    Args:
      logits: `[B, classes]`.
      labels: whole numbers `[B]`, multi-hot `[B, classes]`, or of each task `[B, tasks]`.
      label_smoothing: of one label a clip; 0 with several (`check_multi_label`).
      tasks: how many of the classes are each task's; none where there is one.
    """
    if tasks:
        parts = [
            loss_and_top1(own, labels[:, task], label_smoothing=label_smoothing)
            for task, own in enumerate(of_tasks(logits, tasks))
        ]
        return sum(loss for loss, _ in parts), parts[-1][1]
    highest = logits.argmax(-1)
    if labels.ndim == 1:
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return loss, (highest == labels).mean()
    own = jnp.take_along_axis(labels, highest[:, None], axis=1)
    return binary_cross_entropy(logits, labels), (own > 0).mean()


def of_tasks(logits: jax.Array, tasks: Mapping[str, int]) -> list[jax.Array]:
    """The logits `[B, classes]` of each task, in order."""
    ends = list(itertools.accumulate(tasks.values()))
    return jnp.split(logits, ends[:-1], axis=-1)


def cross_entropy(logits, labels, *, label_smoothing: float):
    """Mean over the batch; smoothing mixes the target with the uniform distribution."""
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    targets = optax.smooth_labels(targets, label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def binary_cross_entropy(logits, labels):
    """Mean over the batch and the classes, each class a question of its own (Charades).

    As SlowFast's official code has it: PyTorch's `BCEWithLogitsLoss`.
    """
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


def check_tasks(config: Config) -> None:
    """Refuses what several tasks do not go with.

    Raises:
      ValueError: naming the field.
    """
    if config.adaptive.mode != "off":
        raise ValueError(
            f"config.adaptive.mode={config.adaptive.mode} trains one task, but these "
            "clips have several: it must be off"
        )
    _check_head_size(config, "tasks")


def check_multi_label(config: Config) -> None:
    """Refuses what several labels a clip do not go with.

    Raises:
      ValueError: naming the field.
    """
    if config.optim.label_smoothing:
        raise ValueError(
            f"config.optim.label_smoothing={config.optim.label_smoothing} is for one "
            "label a clip, but these clips have several: it must be 0"
        )
    if config.adaptive.mode == "mutual":
        raise ValueError(
            "config.adaptive.mode=mutual compares softmaxes, but these clips have several "
            "labels: fine-tune the full network with adaptive.mode=off, as A3D does"
        )
    _check_head_size(config, "labels")


def _check_head_size(config: Config, several: str) -> None:
    if config.model.head_size is not None:
        raise ValueError(
            f"config.model.head_size={config.model.head_size} averages a softmax over "
            f"positions, but these clips have several {several}: it must be None"
        )
