"""Batches of clips for training and evaluation, decoded by workers ahead of time."""

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from vidshift.data.device.augment import Augment
from vidshift.data.loading import plan
from vidshift.data.loading.shape_buckets import SameSize
from vidshift.data.loading.workers import WORKER_KINDS, Failed, Hangs, Team
from vidshift.data.media.video import VideoError
from vidshift.data.sources.split import Record, Split, where
from vidshift.data.views import eval_views
from vidshift.data.views.crop import short_side_place
from vidshift.data.views.view import View, eval_clips, train_clip

logger = logging.getLogger("vidshift.data")

Batch = dict[str, np.ndarray]
# (id of a record, why it cannot be decoded)
Failure = tuple[str, str]

# A share of failed records is not judged before this many were tried, and so many
# failures in a row end a run at once.
MIN_SEEN = 100
# Batches that are decoded ahead of the one in use.
BATCHES_AHEAD = 2
# No clip takes longer, on a slow disk either: what reads or decodes it hangs. A process
# is ended then, and the clip is a failure; a thread cannot be ended, and the run is.
MOST_SECONDS = 300.0
# Tries of a clip on which a worker process dies: somebody may have killed it.
TRIES = 2


class TooManyFailures(RuntimeError):
    """More records cannot be decoded than a run accepts."""


class Batches(Iterator[Batch]):
    """Batches in order, from elements that workers load ahead.

    Args:
      split: where the records are.
      load: makes an element of a record and a number; may raise VideoError. It is sent
        to the worker processes, with the split.
      plan: position -> (number, rows): the first of the rows that can be loaded is the
        element there.
      left_out: the element where none can; None raises TooManyFailures.
      workers: so many; 0 loads when a batch is asked for.
      worker_kind: a name in WORKER_KINDS.
      stack: makes a batch of elements; None: of arrays that are alike.

    Attributes:
      seen: records tried in the batches given so far.
      failures: those of them that could not be decoded, (id, reason), in order.
    """

    def __init__(
        self,
        split: Split,
        load: Callable[[Record, int], Batch],
        plan: Callable[[int], tuple[int, Iterable[int]]],
        *,
        num_elements: int,
        batch_size: int,
        workers: int,
        worker_kind: str,
        max_failed_share: float,
        left_out: Batch | None = None,
        stack: Callable[[list[Batch]], Batch] | None = None,
    ):
        if workers < 0:
            raise ValueError(f"workers must be >= 0, got {workers}")
        if worker_kind not in WORKER_KINDS:
            raise ValueError(
                f"worker_kind must be one of {WORKER_KINDS}, got {worker_kind!r}"
            )
        self.seen = 0
        self.failures: list[Failure] = []
        self._split, self._plan, self._left_out = split, plan, left_out
        self._batch_size, self._stack = batch_size, stack or _stacked
        self._max_failed_share = max_failed_share
        work = functools.partial(_load, split, load)
        positions = range(num_elements)
        if workers:
            self._team = Team(
                work, workers, kind=worker_kind, most_seconds=MOST_SECONDS, tries=TRIES
            )
            self._do = self._team.do
            ahead = max(BATCHES_AHEAD * batch_size, workers)
            self._elements = self._team.map(self._element, positions, ahead=ahead)
        else:
            self._team, self._do = None, work
            self._elements = ((place, self._element(place)) for place in positions)

    def __next__(self) -> Batch:
        rows = []
        for _ in range(self._batch_size):
            try:
                _, (row, seen, failures) = next(self._elements)
            except Hangs as error:
                _, tried = self._plan(*error.args)
                raise Hangs(
                    f"{where(self._split.source, next(iter(tried)))} took longer than "
                    f"{MOST_SECONDS:g} s: the disk or the decoder hangs; "
                    "config.data.worker_kind=process leaves out such a clip"
                ) from None
            rows.append(row)
            self._count(seen, failures)
        return self._stack(rows)

    def _element(self, position: int) -> tuple[Batch, int, list[Failure]]:
        number, rows = self._plan(position)
        failures: list[Failure] = []
        for row in rows:
            found = self._do((row, number))
            if isinstance(found, dict):
                return found, len(failures) + 1, failures
            if isinstance(found, Failed):  # the process could not say the record's id
                name = self._do((row, None))
                if isinstance(name, Failed):
                    name = where(self._split.source, row)
                found = name, f"{name}: {found}"
            failures.append(found)
        if self._left_out is None:
            raise TooManyFailures(
                f"{len(failures)} records in a row cannot be decoded; the last: "
                f"{failures[-1][1]}"
            )
        return self._left_out, len(failures), failures

    def _count(self, seen: int, failures: list[Failure]) -> None:
        self.seen += seen
        self.failures += failures
        for _, reason in failures:
            logger.warning("left out a record that cannot be decoded: %s", reason)
        failed = len(self.failures)
        if (
            failed
            and self.seen >= MIN_SEEN
            and failed > self._max_failed_share * self.seen
        ):
            raise TooManyFailures(
                f"{failed} of {self.seen} records cannot be decoded, more than "
                f"max_failed_share={self._max_failed_share}; the last: "
                f"{self.failures[-1][1]}"
            )

    def close(self) -> None:
        """Stops the workers; what threads are decoding is finished and thrown away."""
        if self._team:
            self._team.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _stacked(rows: list[Batch]) -> Batch:
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _load(
    split: Split, load: Callable[[Record, int], Batch], item: tuple[int, int | None]
) -> Batch | Failure | str:
    """What a worker does with (row, number); without a number it gives the row's id."""
    row, number = item
    name = None
    try:
        record = split.source[row]
        name = record["id"]
        return name if number is None else load(record, number)
    except VideoError as error:
        return name or where(split.source, row), str(error)


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
    if may_flip:
        split.check_flip("train with --config.data.flip=false")
    augment = augment or Augment()
    augment.check()
    if augment.on and split.modality != "rgb":
        raise ValueError(
            f"only RGB can be augmented, got augment={augment} for frames of "
            f"{split.modality!r}"
        )

    def candidates(position: int) -> tuple[int, Iterable[int]]:
        element = plan.global_position(
            position, batch_size, process_index, process_count
        )
        element += start_step * batch_size
        first = plan.row(seed, element, num_records)
        tries = range(first, first + min(num_records, MIN_SEEN))
        return element, (row % num_records for row in tries)

    return Batches(
        split,
        functools.partial(_train_row, split, view, seed, may_flip, augment),
        candidates,
        num_elements=sys.maxsize,
        batch_size=local_size,
        workers=workers,
        worker_kind=worker_kind,
        max_failed_share=max_failed_share,
    )


def _train_row(
    split: Split,
    view: View,
    seed: int,
    may_flip: bool,
    augment: Augment,
    record: Record,
    element: int,
) -> Batch:
    rng = plan.augmentation_rng(seed, element)
    clip, flipped, fingerprint, label = train_clip(
        record, view, rng, may_flip=may_flip, decode=split.decode
    )
    target = split.task.target(label, len(split.classes))
    if (target < 0).any():
        raise ValueError(f"{record['id']} has no label to be trained on")
    return {
        # Of a clip that is only cut out, the whole frames would be kept.
        "video": np.ascontiguousarray(clip),
        "label": target,
        "flip": np.bool_(flipped),
        "fingerprint": fingerprint,
        # Last of what is drawn: without it the clips are the same.
        **augment.draw(rng),
    }


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
) -> Batches | SameSize:
    """Loads every record of a split once, in order, with all its test views.

    All processes get the same number of batches. Rows beyond the end of the split, and
    records that cannot be decoded (logged, and listed in `failures`), have `index` -1,
    `label` -1 (zeros where it is multi-hot) and a black video: leave them out of every
    sum.

    Whole frames of several sizes come in batches of one size each, as they fill up.

    Args:
      split: where the records are.
      view: what of a video is shown.
      clips: clips of each video.
      crops: of each clip, a key of `eval_views.PLACES`.
      batch_size: videos of the global batch B.
      process_index: this process, p.
      process_count: how many share each batch, P; it gets b = B / P rows.
      workers: threads or processes that decode; 0 decodes when a batch is asked for.
      worker_kind: which of them, a name in WORKER_KINDS.

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
    num_batches = -(-num_records // batch_size)
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

    def candidates(position: int) -> tuple[int, Iterable[int]]:
        index = plan.global_position(position, batch_size, process_index, process_count)
        return index, range(index, min(index + 1, num_records))

    def stack(rows: list[Batch]) -> Batch:
        videos = [row["video"] for row in rows]
        to = [videos[0].shape[-2]] if whole else widths
        rest = [{k: v for k, v in row.items() if k != "video"} for row in rows]
        return {"video": eval_views.widen(videos, to)} | _stacked(rest)

    batches = Batches(
        split,
        functools.partial(_eval_row, split, view, clips, crops),
        candidates,
        num_elements=num_batches * local_size,
        batch_size=1 if whole else local_size,
        workers=workers,
        worker_kind=worker_kind,
        max_failed_share=1.0,
        left_out=left_out,
        stack=stack,
    )
    return SameSize(batches, local_size) if whole else batches


def _eval_row(
    split: Split, view: View, clips: int, crops: int | str, record: Record, index: int
) -> Batch:
    canvas = eval_clips(
        record["video"],
        record["num_frames"],
        record.get("fps", 0.0),
        view,
        clips=clips,
        crops=crops,
        name=record["id"],
        decode=split.decode,
    )
    return {
        "video": canvas.frames,
        "places": canvas.places,
        "swapped": canvas.swapped,
        "label": split.task.target(record["label"], len(split.classes)),
        "index": np.int32(index),
        "id": record["id"],
    }
