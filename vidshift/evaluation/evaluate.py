"""Scores of every clip of a split, whatever the batch size and number of processes."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidshift.command_line.progress import Progress
from vidshift.data.loading.loader import eval_batches
from vidshift.data.sources.split import Split
from vidshift.data.views import eval_views
from vidshift.data.views.view import View
from vidshift.devices.compilation_cache import compiling
from vidshift.devices.in_turn import in_turn
from vidshift.devices.mesh import fitting_batch, shard_batch
from vidshift.evaluation.protocols import Protocol
from vidshift.nets.weights import Arrays, Mergeable
from vidshift.tasks import SINGLE_LABEL, Task
from vidshift.tasks.kinds import Scored


@dataclasses.dataclass(frozen=True)
class Scores:
    """Logits float32 `[N, classes]` of clips, their labels `[N, ...]` and split rows `[N]`.

    `ids` are the records' names ("" for rows that another process read). Videos that
    could not be decoded have no row; this process's are in `failures`.
    """

    logits: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    ids: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    task: Task = SINGLE_LABEL

    def by_name(self, classes: Sequence[str], others: Sequence[str]) -> "Scores":
        """Returns the scores with classes in the order of `others`, of the same names."""
        numbers = {name: number for number, name in enumerate(classes)}
        order = [numbers[name] for name in others]
        return dataclasses.replace(
            self,
            logits=self.logits[:, order],
            labels=self.task.reordered(self.labels, order),
        )

    @property
    def labelled(self) -> bool:
        """Says whether clips have labels, so that figures can be made.

        Raises:
          ValueError: some have one and some do not.
        """
        without = int((self.labels.astype(int) < 0).sum())
        if 0 < without < self.labels.size:
            raise ValueError(f"{without} of {self.labels.size} clips have no label")
        return not without

    def summary(self, reversed_labels: tuple[int, ...] | None = None) -> dict:
        """Returns `clips` and the metrics of the kind of label.

        `clips` stands alone where no clip has a label.

        Args:
          reversed_labels: of the split; `right_pair` needs them.

        Raises:
          ValueError: some clips have a label and some do not.
        """
        figures = {"clips": len(self.labels)}
        if self.labelled:
            figures |= self.task.figures(
                Scored(self.logits, self.labels, reversed_labels)
            )
        return figures

    def per_class(self) -> np.ndarray:
        """Returns each class's accuracy, or average precision of several labels."""
        return self.task.per_class(Scored(self.logits, self.labels))


def make_eval_step(
    skeleton: Mergeable,
    normalise: Callable,
    mesh: Mesh,
    protocol: Protocol,
    *,
    view: View,
    data: Split,
):
    """Builds the jitted `(params, stats, batch) -> (logits, label, index)`.

    The batch is one of `vidshift.data.eval_batches`; its views run one after the other
    to bound memory. Logits `[B, classes]` are the kind of label's average over views. The
    results are on every device, so that every process can read all of them.

    Args:
      protocol: how many views, and what is averaged.
      view: of the network; the protocol may crop more of it.
      data: the split. A mirror image's logit of a class is that of the class's mirror
        image, which `flip_labels` says.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    cut = functools.partial(
        eval_views.cut,
        crop=protocol.view(view).crop,
        crops=protocol.crops,
        modality=data.modality,
    )

    def eval_step(params: Arrays, stats: Arrays, batch):
        model = skeleton.merge(params, stats)

        def one_view(carry, view):
            video = cut(batch["video"], batch["places"], batch["swapped"], view)
            logits = model(normalise(video))
            if protocol.crops == 10 and data.flip_labels is not None:
                mirrored = view % 10 >= 5
                logits = jnp.where(
                    mirrored, logits[:, np.asarray(data.flip_labels)], logits
                )
            return carry, logits

        _, logits = in_turn(one_view, (), protocol.views)
        logits = data.task.average(logits, protocol.average)
        return logits, batch["label"], batch["index"]

    return jax.jit(eval_step, out_shardings=everywhere)


def score(
    data: Split,
    eval_step: Callable,
    weights: tuple[Arrays, Arrays],
    mesh: Mesh,
    *,
    view: View,
    protocol: Protocol,
    batch_size: int,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda line: None,
    **loading,
) -> Scores | None:
    """Evaluates a split.

    Args:
      data: the split.
      eval_step: `(params, stats, batch) -> (logits, label, index)`; rows with index -1
        are padding and left out.
      weights: parameters and statistics, on every device.
      mesh: of all devices.
      view: of the network; the protocol may crop more of it.
      protocol: clips and crops of each video.
      batch_size: videos at a time, or fewer if the split has fewer.
      stop: asked before every batch; True gives the evaluation up.
      say: takes a line once the step is compiled, and one every 10 seconds.
      **loading: workers and processes, of `vidshift.data.eval_batches`.

    Returns:
      The scores in the order of the split, the same in every process; None if stopped.

    Raises:
      ValueError: not one video could be decoded.
    """
    videos, parts, ids = len(data.source), [], {}
    progress, done = Progress("evaluated", videos, "videos", say), 0
    with eval_batches(
        data,
        protocol.view(view),
        clips=protocol.clips,
        crops=protocol.crops,
        batch_size=fitting_batch(batch_size, videos, mesh),
        **loading,
    ) as batches:
        for rows in batches:
            if stop():
                return None
            names = rows.pop("id").tolist()
            ids |= dict(zip(rows["index"].tolist(), names, strict=True))
            batch = shard_batch(mesh, rows)
            if parts:
                result = eval_step(*weights, batch)
            else:
                with compiling("the eval step", say):
                    result = eval_step(*weights, batch)
            result = jax.device_get(result)
            parts.append([array[result[2] >= 0] for array in result])
            done += len(parts[-1][-1])
            progress.done(done)
    if not parts:
        raise ValueError("the split has no video")
    logits, labels, index = map(np.concatenate, zip(*parts, strict=True))
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
        data.task,
    )
