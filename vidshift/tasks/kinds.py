"""The kinds of label, a class each: target, mirrored label, loss, average, metrics.

A data set's annotation module says which kind its clips have. The loader, the train step,
the evaluation and the commands ask the kind, and never an array's rank or type. A new
kind is a subclass of `Task`; a new metric is an entry in the `metrics` of a kind.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.layers.precision import wide
from vidshift.tasks import metrics
from vidshift.tasks.losses import binary_cross_entropy, cross_entropy

# Averages over a clip's views: the mean of the logits, or of their softmax.
AVERAGES = ("logits", "softmax")


class Scored(NamedTuple):
    """Scores of N clips as a metric reads them."""

    logits: np.ndarray  # float [N, classes]
    labels: np.ndarray  # of the kind, [N, ...]
    # The label of each class played backwards; None where classes have no reverse.
    reversed_labels: Sequence[int] | None = None


class Guess(NamedTuple):
    probability: float
    name: str


# An array of NumPy or of JAX; what is computed of it is of the same kind.
AnyArray = TypeVar("AnyArray", np.ndarray, jax.Array)
# A figure, or None where the data set has no such figure.
Metric = Callable[[Scored], float | None]


@dataclasses.dataclass(frozen=True)
class Task:
    """A kind of label. `SingleLabel`, `MultiLabel` and `MultiTask` are its forms."""

    # The metric of a validation by which the best checkpoint is chosen.
    best_by: ClassVar[str]
    metrics: ClassVar[dict[str, Metric]]
    # The labels' noun in messages to a user whose clips have several of them.
    several: ClassVar[str] = ""
    # Whether the classes are one list, which names alone can map to another list.
    one_list: ClassVar[bool] = True
    # Fewer classes than this leave nothing to learn.
    fewest_classes: ClassVar[int] = 2

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of a description: `multi_label` and `tasks`."""
        return {"multi_label": False, "tasks": {}}

    @property
    def unlabelled(self) -> int | tuple[int, ...]:
        """The record's label of a clip that has none."""
        raise NotImplementedError

    def sizes(self, classes: int) -> dict[str, int]:
        """Splits the classes into groups of which softmax picks one: name -> number."""
        return {"": classes}

    def target(self, label: int | tuple[int, ...], classes: int) -> np.ndarray:
        """Converts a record's label into a row of a batch.

        Raises:
          ValueError: the label is of another kind, or of no class.
        """
        raise NotImplementedError

    def target_shape(self, classes: int) -> tuple[tuple[int, ...], np.dtype]:
        """Returns the shape and type of a clip's target."""
        target = self.target(self.unlabelled, classes)
        return target.shape, target.dtype

    def mirrored(
        self, labels: jax.Array, flip: jax.Array, flip_labels: np.ndarray
    ) -> jax.Array:
        """Returns the labels `[B, ...]` of a batch whose clips are flipped where `flip`."""
        raise NotImplementedError

    def loss(
        self, logits: jax.Array, labels: jax.Array, *, label_smoothing: float
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the loss of a batch and the fraction of its clips that are right."""
        raise NotImplementedError

    def average(self, logits: jax.Array, over: str) -> jax.Array:
        """Averages views' logits `[V, B, classes]` over V.

        Args:
          logits: of V views.
          over: "logits" for their mean; "softmax" for the logarithm of the mean of
            their softmax.
        """
        if over == "logits":
            return logits.mean(0)
        sizes = self.sizes(logits.shape[-1]).values()
        parts = split_logits(wide(logits), sizes)
        logs = jnp.concatenate([jax.nn.log_softmax(part) for part in parts], axis=-1)
        return jax.nn.logsumexp(logs, axis=0) - math.log(len(logits))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Returns float64 probabilities of logits `[..., classes]`: softmax by group."""
        sizes = self.sizes(logits.shape[-1]).values()
        parts = split_logits(logits.astype(np.float64), sizes)
        powers = [np.exp(part - part.max(-1, keepdims=True)) for part in parts]
        return np.concatenate([p / p.sum(-1, keepdims=True) for p in powers], axis=-1)

    def top(
        self, logits: np.ndarray, classes: Sequence[str], number: int
    ) -> list[Guess]:
        """Returns the most probable classes of logits `[classes]`, in each group."""
        probabilities = self.probabilities(logits)
        numbers = np.arange(len(classes))
        return [
            Guess(float(probabilities[i]), classes[i])
            for group in split_logits(numbers, self.sizes(len(classes)).values())
            for i in group[np.argsort(-probabilities[group], kind="stable")][:number]
        ]

    def logits_of(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns logits whose `probabilities` these are."""
        return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))

    def figures(self, scored: Scored) -> dict[str, float]:
        """Returns the metrics of scored clips by name."""
        values = {name: metric(scored) for name, metric in self.metrics.items()}
        return {name: value for name, value in values.items() if value is not None}

    def per_class(self, scored: Scored) -> np.ndarray:
        """Returns the accuracy of each class `[classes]`, NaN where it has no clip."""
        return metrics.per_class(scored.logits, scored.labels)

    def reordered(self, labels: np.ndarray, order: Sequence[int]) -> np.ndarray:
        """Returns labels `[N, ...]` for classes in another order.

        Args:
          labels: of the present order.
          order: the present number of each class in the new order.
        """
        raise NotImplementedError

    def check(self, config: Any) -> None:
        """Refuses fields of a config that this kind does not support.

        Raises:
          ValueError: naming the field.
        """


@dataclasses.dataclass(frozen=True)
class SingleLabel(Task):
    """Labels of one class a clip: int32 `[B]`, -1 where a clip has none."""

    best_by: ClassVar[str] = "top1"
    metrics: ClassVar[dict[str, Metric]] = {
        "top1": lambda scored: metrics.top_k(scored.logits, scored.labels, 1),
        "top5": lambda scored: metrics.top_k(scored.logits, scored.labels, 5),
        "right_pair": lambda scored: (
            None if scored.reversed_labels is None else metrics.right_pair(*scored)
        ),
    }

    @property
    def unlabelled(self) -> int:
        return -1

    def target(self, label, classes: int) -> np.ndarray:
        if isinstance(label, tuple):
            raise _wrong_label(label, "one number", multi_label=False)
        _check_label(label, classes, lowest=-1)
        return np.asarray(label, np.int32)

    def mirrored(self, labels, flip, flip_labels):
        return jnp.where(flip, jnp.asarray(flip_labels, labels.dtype)[labels], labels)

    def loss(self, logits, labels, *, label_smoothing):
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return loss, (logits.argmax(-1) == labels).mean()

    def reordered(self, labels, order):
        # The last number is for -1 of a clip without a label.
        return np.append(np.argsort(order), -1)[labels].astype(labels.dtype)


@dataclasses.dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes a clip: multi-hot uint8 `[B, classes]` (Charades)."""

    best_by: ClassVar[str] = "mAP"
    metrics: ClassVar[dict[str, Metric]] = {
        "mAP": lambda scored: metrics.mean_average_precision(
            scored.logits, scored.labels
        )
    }
    several: ClassVar[str] = "labels"
    fewest_classes: ClassVar[int] = 1

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"multi_label": True}

    @property
    def unlabelled(self) -> tuple[int, ...]:
        return ()

    def target(self, label, classes: int) -> np.ndarray:
        if not isinstance(label, tuple):
            raise _wrong_label(label, "a tuple of numbers", multi_label=True)
        for number in label:
            _check_label(number, classes, lowest=0)
        row = np.zeros(classes, np.uint8)
        row[list(label)] = 1
        return row

    def mirrored(self, labels, flip, flip_labels):
        mirror = jnp.zeros_like(labels).at[:, flip_labels].max(labels)
        return jnp.where(flip[:, None], mirror, labels)

    def loss(self, logits, labels, *, label_smoothing):
        """Computes binary cross-entropy; the highest class must be any of the clip's."""
        highest = logits.argmax(-1)
        right = jnp.take_along_axis(labels, highest[:, None], axis=1) > 0
        return binary_cross_entropy(logits, labels), right.mean()

    def average(self, logits, over):
        """Takes the maximum over the views, whatever the protocol averages.

        The sigmoid rises, so its value there is the maximum of the views' sigmoids, the
        score of SlowFast's official code for Charades, without the ties where sigmoids
        round to 1.
        """
        return logits.max(0)

    def probabilities(self, logits):
        return 1 / (1 + np.exp(-logits.astype(np.float64)))

    def logits_of(self, probabilities):
        return super().logits_of(probabilities) - super().logits_of(1 - probabilities)

    def per_class(self, scored):
        """Returns the average precision of each class."""
        return metrics.average_precision(scored.logits, scored.labels)

    def reordered(self, labels, order):
        return labels[:, order]

    def check(self, config):
        if config.optim.label_smoothing:
            raise ValueError(
                f"config.optim.label_smoothing={config.optim.label_smoothing} is for one "
                "label a clip, but these clips have several: it must be 0"
            )
        if config.adaptive.mode == "mutual":
            raise ValueError(
                "config.adaptive.mode=mutual compares softmaxes, but these clips have "
                "several labels: fine-tune the full network with adaptive.mode=off, as "
                "A3D does"
            )
        _check_head_size(config, self.several)


@dataclasses.dataclass(frozen=True)
class MultiTask(Task):
    """Labels of one class for each of several tasks: int32 `[B, tasks]` (EPIC-Kitchens).

    The loss is the sum of the tasks'. A clip is right where the last task is: the action
    of EPIC-Kitchens' verb, noun and action.
    """

    # Number of each task's classes; the classes of all tasks stand one after another.
    tasks: Mapping[str, int]

    best_by: ClassVar[str] = "top1"
    metrics: ClassVar[dict[str, Metric]] = SingleLabel.metrics
    several: ClassVar[str] = "tasks"
    one_list: ClassVar[bool] = False

    def __hash__(self) -> int:
        return hash(tuple(self.tasks.items()))

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"tasks": dict(self.tasks)}

    @property
    def unlabelled(self) -> tuple[int, ...]:
        return (-1,) * len(self.tasks)

    def sizes(self, classes: int) -> dict[str, int]:
        return dict(self.tasks)

    def target(self, label, classes: int) -> np.ndarray:
        if not isinstance(label, tuple) or len(label) != len(self.tasks):
            raise ValueError(
                "a record's label must be a number for each of "
                f"{list(self.tasks)}, got {label!r}"
            )
        for number, size in zip(label, self.tasks.values(), strict=True):
            _check_label(number, size, lowest=-1)
        return np.asarray(label, np.int32)

    def mirrored(self, labels, flip, flip_labels):
        """Keeps all labels: a mirror image shows the same verb, noun and action."""
        return labels

    def loss(self, logits, labels, *, label_smoothing):
        parts = [
            SINGLE_LABEL.loss(part, labels[:, task], label_smoothing=label_smoothing)
            for task, part in enumerate(split_logits(logits, self.tasks.values()))
        ]
        return sum(loss for loss, _ in parts), parts[-1][1]

    def figures(self, scored):
        """Returns the last task's figures; the others' have the task's name before them."""
        *others, last = self._each(scored)
        figures = SINGLE_LABEL.figures(
            last._replace(reversed_labels=scored.reversed_labels)
        )
        for task, part in zip(self.tasks, others, strict=False):
            values = SINGLE_LABEL.figures(part)
            figures |= {f"{task}_{name}": value for name, value in values.items()}
        return figures

    def per_class(self, scored):
        return np.concatenate([SINGLE_LABEL.per_class(p) for p in self._each(scored)])

    def check(self, config):
        if config.adaptive.mode != "off":
            raise ValueError(
                f"config.adaptive.mode={config.adaptive.mode} trains one task, but these "
                "clips have several: it must be off"
            )
        _check_head_size(config, self.several)

    def _each(self, scored: Scored) -> list[Scored]:
        parts = split_logits(scored.logits, self.tasks.values())
        return [Scored(p, scored.labels[:, task]) for task, p in enumerate(parts)]


SINGLE_LABEL, MULTI_LABEL = SingleLabel(), MultiLabel()


def from_json(fields: Mapping) -> Task:
    """Returns the kind that a description's `multi_label` and `tasks` say."""
    if fields["tasks"]:
        return MultiTask(dict(fields["tasks"]))
    return MULTI_LABEL if fields["multi_label"] else SINGLE_LABEL


def split_logits(logits: AnyArray, sizes: Iterable[int]) -> list[AnyArray]:
    """Splits logits `[..., classes]` into those of groups of classes, in order."""
    ends = list(itertools.accumulate(sizes))[:-1]
    numpy = np if isinstance(logits, np.ndarray) else jnp
    return numpy.split(logits, ends, axis=-1)


def _wrong_label(label: Any, needed: str, *, multi_label: bool) -> ValueError:
    return ValueError(
        f"a record's label must be {needed} where multi_label is {multi_label}, got "
        f"{label!r}"
    )


def _check_label(label: int, classes: int, *, lowest: int) -> None:
    if not lowest <= label < classes:
        raise ValueError(f"labels must be in [{lowest}, {classes}), got {label}")


def _check_head_size(config, several: str) -> None:
    if config.model.head_size is not None:
        raise ValueError(
            f"config.model.head_size={config.model.head_size} averages a softmax over "
            f"positions, but these clips have several {several}: it must be None"
        )
