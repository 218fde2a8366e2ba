"""Scores of every clip of a split, whatever the batch size and number of processes."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from vidshift.data.loading.loader import Batches
from vidshift.data.loading.shape_buckets import ShapeBuckets
from vidshift.data.views import eval_views
from vidshift.devices.mesh import shard_batch
from vidshift.evaluation import metrics
from vidshift.evaluation.protocols import Protocol
from vidshift.nets.weights import Arrays, Mergeable
from vidshift.training.losses import of_tasks

SECONDS_BETWEEN_LINES = 10.0


@dataclasses.dataclass(frozen=True)
class Scores:
    """`logits` float32 `[N, classes]`, `labels` int `[N]`, `rows` int `[N]` of the split.

    Where a clip has several labels, `labels` is multi-hot, uint8 `[N, classes]`; where
    it has one for each of several tasks, int32 `[N, tasks]`.
    `ids` are the records' names ("" for rows that another process read). Videos that
    could not be decoded have no row; those of this process are in `failures`.
    """

    logits: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    ids: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    # How many of the classes are each task's; none where there is one.
    tasks: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def of_task(self, task: str) -> "Scores":
        """The same clips as scores of one task alone."""
        names = list(self.tasks)
        place = names.index(task)
        first = sum(self.tasks[name] for name in names[:place])
        return dataclasses.replace(
            self,
            logits=self.logits[:, first : first + self.tasks[task]],
            labels=self.labels[:, place],
            tasks={},
        )

    def by_name(self, classes: Sequence[str], others: Sequence[str]) -> "Scores":
        """The same with classes in the order of `others`, which has the same names."""
        if list(classes) == list(others):
            return self
        place = {name: number for number, name in enumerate(classes)}
        order = [place[name] for name in others]
        labels = self.labels
        if labels.ndim == 2:
            labels = labels[:, order]
        else:  # -1 of a clip without a label, which the last number is for
            labels = np.append(np.argsort(order), -1)[labels].astype(labels.dtype)
        return dataclasses.replace(self, logits=self.logits[:, order], labels=labels)

    @property
    def labelled(self) -> bool:
        """Whether clips have labels, so that figures can be made.

        Raises:
          ValueError: some have one and some do not.
        """
        without = int((self.labels.astype(int) < 0).sum())
        if 0 < without < self.labels.size:
            raise ValueError(f"{without} of {self.labels.size} clips have no label")
        return not without

    def summary(self, reversed_labels: tuple[int, ...] | None = None) -> dict:
        """`clips`, `top1`, `top5`, and `right_pair` where classes have a reverse.

        Where a clip has several labels, `clips` and `mAP`. Of several tasks `top1` and
        `top5` are the last one's, and the others' have their name (`verb_top1`). `clips`
        alone where no clip has a label.

        Raises:
          ValueError: some clips have a label and some do not.
        """
        if not self.labelled:
            return {"clips": len(self.labels)}
        if self.tasks:
            *others, last = self.tasks
            figures = self.of_task(last).summary(reversed_labels)
            for task in others:
                own = self.of_task(task).summary()
                figures |= {f"{task}_{k}": own[k] for k in ("top1", "top5")}
            return figures
        scores, labels = self.logits, self.labels
        if labels.ndim == 2:
            mean = metrics.mean_average_precision(scores, labels)
            return {"clips": len(labels), "mAP": mean}
        figures = {
            "clips": len(labels),
            "top1": metrics.top_k(scores, labels, 1),
            "top5": metrics.top_k(scores, labels, 5),
        }
        if reversed_labels is not None:
            figures["right_pair"] = metrics.right_pair(scores, labels, reversed_labels)
        return figures

    def per_class(self) -> np.ndarray:
        """Accuracy of each class, average precision where a clip has several labels."""
        if self.tasks:
            return np.concatenate([self.of_task(t).per_class() for t in self.tasks])
        measure = metrics.per_class
        if self.labels.ndim == 2:
            measure = metrics.average_precision
        return measure(self.logits, self.labels)


def make_eval_step(
    skeleton: Mergeable,
    normalise: Callable,
    mesh: Mesh,
    protocol: Protocol,
    *,
    crop: int,
    modality: str = "rgb",
    flip_labels: Sequence[int] | None = None,
    tasks: Mapping[str, int] | None = None,
):
    """Builds the jitted `(params, stats, batch) -> (logits, label, index)`.

    The batch is one of `vidshift.data.eval_batches`; its views run one after the other
    to bound memory. Logits `[B, classes]` are the mean over views, or the logarithm of
    the mean of their softmax. Where the labels are multi-hot `[B, classes]` they are the
    maximum over views. As the sigmoid rises, the sigmoid of that is the maximum of the
    views' sigmoids, SlowFast's official score for Charades, without the ties where they
    round to 1. The results are on every device, so that every process can read all of
    them.

    Args:
      protocol: how many views, and what is averaged.
      crop: side of a crop, pixels.
      modality: of the split.
      flip_labels: of the split: a mirror image's logit of a class is that of the class's
        mirror image.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    cut = functools.partial(
        eval_views.cut, crop=crop, crops=protocol.crops, modality=modality
    )

    def eval_step(params: Arrays, stats: Arrays, batch):
        model = skeleton.merge(params, stats)

        def one_view(view):
            video = cut(batch["video"], batch["places"], batch["swapped"], view)
            logits = model(normalise(video))
            if protocol.crops == 10 and flip_labels is not None:
                mirrored = view % 10 >= 5
                logits = jnp.where(mirrored, logits[:, np.asarray(flip_labels)], logits)
            return logits

        logits = jax.lax.map(one_view, jnp.arange(protocol.views))
        labels = batch["label"]
        multi_hot = labels.ndim == 2 and labels.dtype == jnp.uint8
        if multi_hot:
            logits = logits.max(0)
        else:
            logits = average(logits, protocol.average, tasks)
        return logits, batch["label"], batch["index"]

    return jax.jit(eval_step, out_shardings=everywhere)


def average(logits, of: str, tasks: Mapping[str, int] | None = None) -> Array:
    """The mean of logits `[V, B, classes]` over V, or the logarithm of their softmax's.

    Args:
      of: "logits" or "softmax".
      tasks: how many of the classes are each task's; none where there is one.
    """
    if of == "logits":
        return logits.mean(0)
    parts = of_tasks(logits.astype(jnp.float32), tasks or {"": logits.shape[-1]})
    shares = jnp.concatenate([jax.nn.log_softmax(part) for part in parts], axis=-1)
    return jax.nn.logsumexp(shares, axis=0) - math.log(len(logits))


def evaluate(
    eval_step,
    params: Arrays,
    stats: Arrays,
    batches: Batches | ShapeBuckets,
    mesh: Mesh,
    *,
    tasks: Mapping[str, int] | None = None,
    stop: Callable[[], bool] = lambda: False,
    videos: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Scores | None:
    """Runs a split's batches; rows with index -1 are padding and left out.

    Args:
      batches: of `vidshift.data.eval_batches`: this process's rows.
      tasks: of the split.
      stop: asked before every batch; True gives the evaluation up.
      videos: of the split, for `say`.
      say: takes a line every 10 seconds.

    Returns:
      The scores in the order of the split, the same in every process; None if stopped.

    Raises:
      ValueError: not one video could be decoded.
    """
    found, ids = [], {}
    began = said = time.monotonic()
    for rows in batches:
        if stop():
            return None
        ids |= dict(zip(rows["index"].tolist(), rows.pop("id").tolist(), strict=True))
        result = jax.device_get(eval_step(params, stats, shard_batch(mesh, rows)))
        found.append([part[result[2] >= 0] for part in result])
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said, done = now, sum(len(index) for _, _, index in found)
            left = (now - began) / max(done, 1) * (videos - done)
            say(f"evaluated {done:,} of {videos:,} videos, {left:.0f} s to go")
    if not found:
        raise ValueError("the split has no video")
    logits, labels, index = (
        np.concatenate(parts) for parts in zip(*found, strict=True)
    )
    if not len(index):
        reasons = "; ".join(reason for _, reason in batches.failures[-1:])
        raise ValueError(f"no video can be decoded: {reasons}")
    order = np.argsort(index)
    return Scores(
        logits[order],
        labels[order],
        index[order],
        tuple(ids.get(row, "") for row in index[order].tolist()),
        tuple(batches.failures),
        dict(tasks or {}),
    )
