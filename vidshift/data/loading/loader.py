"""Batches of clips for training and evaluation, decoded by workers ahead of time."""

import functools
from collections.abc import Callable, Iterable

import numpy as np

from vidshift.data.annotations import mirrored
from vidshift.data.device.augment import Augment
from vidshift.data.loading import plan
from vidshift.data.loading.batches import Batch, Batches, TooManyFailures, stack_rows
from vidshift.data.loading.clips import Row, crashed, load, show_eval, show_train
from vidshift.data.loading.shape_buckets import ShapeBuckets
from vidshift.data.parallel.workers import WORKER_KINDS, Workers
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split
from vidshift.data.views import eval_views
from vidshift.data.views.crop import short_side_place
from vidshift.data.views.view import View

__all__ = ["Batches", "TooManyFailures", "eval_batches", "train_batches"]

# Batches that are decoded ahead of the one in use.
BATCHES_AHEAD = 2
# Limit for a clip, on a slow disk too. A process that takes longer hangs: it is ended,
# and the clip is a failure. A thread cannot be ended, and the run ends instead.
MOST_SECONDS = 300.0
# Tries of a clip on which a worker process dies: somebody may have killed it.
TRIES = 2


def train_batches(
    split: Split,
    view: View,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 2,
    worker_kind: str = "thread",
    flip: bool = True,
    flip_paired: bool = True,
    augment: Augment | None = None,
    max_failed_share: float = 0.01,
) -> Batches:
    """Loads the endless stream of training batches that `plan` describes.

    A record that cannot be decoded is logged and the next row of the split takes its
    place, with the same random numbers.

    Args:
      split: where the records are.
      view: what of a video is shown.
      batch_size: rows of the global batch B.
      seed: of the order and the augmentation.
      start_step: step of the first batch; a resumed run gives its step here.
      process_index: this process, p.
      process_count: how many share each batch, P; it gets b = B / P rows.
      workers: threads or processes that decode; 0 decodes when a batch is asked for.
      worker_kind: which of them, a name in WORKER_KINDS.
      flip: whether clips may be flipped, where the dataset allows it.
      flip_paired: whether those clips may be too whose class a mirror image changes.
      augment: what is drawn for the device to do to the pixels; None: nothing.
      max_failed_share: of records that cannot be decoded, beyond which to stop.

    Returns:
      An iterator over dicts: `video` uint8 [b, T, S, S, C]; `label` int32 [b], of the
      clip before the flip, or multi-hot uint8 [b, classes] of a multi-label split, or
      int32 [b, tasks];
      `flip` bool [b], whether the device is to flip it; `fingerprint` uint32 [b, 2] of
      what the clip shows; and what `Augment.draw` draws.

    Raises:
      ValueError: sizes that do not fit, a negative seed or step, or augmentation that
        is out of range or of other frames than RGB; from the iterator, a clip without a
        label.
      TooManyFailures: from the iterator.
    """
    local_size = plan.process_batch_size(batch_size, process_index, process_count)
    if seed < 0 or start_step < 0:
        raise ValueError(
            f"seed and start_step must be >= 0, got {seed} and {start_step}"
        )
    num_records = len(split.source)
    if not num_records:
        raise ValueError("split must have records, got none")
    may_flip = flip and split.flip_labels is not None
    if may_flip and flip_paired:
        split.check_flip("train with --config.data.flip=false")
    augment = augment or Augment()
    augment.check()
    if augment.on and split.modality != "rgb":
        raise ValueError(
            f"only RGB can be augmented, got augment={augment} for frames of "
            f"{split.modality!r}"
        )

    positions = plan.global_positions(
        batch_size, process_index, process_count, start_step=start_step
    )
    unflipped = frozenset() if flip_paired else mirrored.changed(split.flip_labels)
    show = functools.partial(
        show_train, split, view, seed, may_flip, unflipped, augment
    )
    return _batches(
        split,
        show,
        plan.train_elements(positions, seed, num_records),
        batch_size=local_size,
        workers=workers,
        worker_kind=worker_kind,
        max_failed_share=max_failed_share,
    )


def eval_batches(
    split: Split,
    view: View,
    *,
    clips: int = 1,
    crops: int | str = 1,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 2,
    worker_kind: str = "thread",
) -> Batches | ShapeBuckets:
    """Loads every record of a split once, in order, with all its test views.

    All processes get the same number of batches. Rows beyond the end of the split, and
    records that cannot be decoded (logged, and listed in `failures`), have `index` -1,
    `label` -1 (zeros where it is multi-hot) and a black video: leave them out of every
    sum.

    Whole frames of several sizes come in batches of one size each, as they fill up.

    Args:
      split, view, process_index, process_count, workers, worker_kind: as in
        `train_batches`.
      clips: clips of each video.
      crops: of each clip, a key of `eval_views.PLACES`.
      batch_size: videos of the global batch B.

    Returns:
      An iterator over dicts: `video` uint8 [b, clips, T, h, w, C], `places` int32
      [b, P, 2] and `swapped` bool [b], of which `eval_views.cut` makes views; `label`
      int32 [b], or multi-hot uint8 [b, classes] of a multi-label split, or int32
      [b, tasks]; `index` int32 [b], the row; `id` str [b], the record's.

    Raises:
      ValueError: sizes that do not fit, or clips or crops not supported.
    """
    local_size = plan.process_batch_size(batch_size, process_index, process_count)
    num_records = len(split.source)
    # Raises here rather than in a worker.
    eval_views.num_views(clips, crops)
    short_side_place(view.resize, view.resize, resize=view.resize, crop=view.crop)
    whole = crops == eval_views.WHOLE
    if whole and process_count > 1:
        raise ValueError("whole frames, of several sizes, are for a single process")
    if crops == 10 and split.flip_labels is None:
        raise ValueError("crops=10 has mirror images, which have no label here")
    if crops == 10:
        split.check_flip("choose a protocol of fewer crops")
    tall, widths = eval_views.size(resize=view.resize, crop=view.crop, crops=crops)
    if process_count > 1:
        widths = widths[-1:]  # whatever the shapes of the videos that each one reads
    shape = (clips, view.num_frames, tall, widths[0], split.decoded_channels)
    left_out = {
        "video": np.zeros(shape, np.uint8),
        "places": np.zeros((max(1, len(eval_views.PLACES[crops])), 2), np.int32),
        "swapped": np.False_,
        "label": split.task.target(split.task.unlabelled, len(split.classes)),
        "index": np.int32(-1),
        "id": "",
    }

    def stack(rows: list[Batch]) -> Batch:
        videos = [row["video"] for row in rows]
        to = [videos[0].shape[-2]] if whole else widths
        others = [{k: v for k, v in row.items() if k != "video"} for row in rows]
        return {"video": eval_views.widen(videos, to)} | stack_rows(others)

    positions = plan.global_positions(batch_size, process_index, process_count)
    show = functools.partial(show_eval, split, view, clips, crops)
    batches = _batches(
        split,
        show,
        plan.eval_elements(positions, num_records, batch_size),
        batch_size=1 if whole else local_size,
        workers=workers,
        worker_kind=worker_kind,
        max_failed_share=1.0,
        left_out=left_out,
        stack=stack,
    )
    return ShapeBuckets(batches, local_size) if whole else batches


def _batches(
    split: Split,
    show: Callable[[Record, int], Row],
    elements: Iterable[Iterable[plan.Attempt]],
    *,
    batch_size: int,
    workers: int,
    worker_kind: str,
    max_failed_share: float,
    left_out: Row | None = None,
    stack: Callable[[list[Row]], Batch] = stack_rows,
) -> Batches:
    if workers < 0:
        raise ValueError(f"workers must be >= 0, got {workers}")
    if worker_kind not in WORKER_KINDS:
        raise ValueError(
            f"worker_kind must be one of {WORKER_KINDS}, got {worker_kind!r}"
        )
    return Batches(
        split.source,
        Workers(
            functools.partial(load, split, show),
            workers,
            kind=worker_kind,
            most_seconds=MOST_SECONDS,
            tries=TRIES,
            after_death=functools.partial(crashed, split),
        ),
        elements,
        batch_size=batch_size,
        ahead=max(BATCHES_AHEAD * batch_size, workers),
        max_failed_share=max_failed_share,
        left_out=left_out,
        stack=stack,
    )
