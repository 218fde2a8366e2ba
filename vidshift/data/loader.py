"""Batches of clips for training and evaluation, decoded by threads ahead of time."""

import logging
import sys
from collections.abc import Callable, Iterator

import grain
import numpy as np

from vidshift.data import plan
from vidshift.data.augment import Augment
from vidshift.data.crop import eval_boxes
from vidshift.data.sampling import clip_offsets
from vidshift.data.split import Split
from vidshift.data.video import VideoError
from vidshift.data.view import View, eval_clips, train_clip

logger = logging.getLogger("vidshift.data")

Batch = dict[str, np.ndarray]
# (id of a record, why it cannot be decoded)
Failure = tuple[str, str]

# A share of failed records is not judged before this many were tried, and so many
# failures in a row end a run at once.
MIN_SEEN = 100
# Batches that are decoded ahead of the one in use.
BATCHES_AHEAD = 2
# What decodes: threads of this process, or processes of their own.
WORKER_KINDS = ("thread", "process")


class TooManyFailures(RuntimeError):
    """More records cannot be decoded than a run accepts."""


class Batches(Iterator[Batch]):
    """Batches in order, from elements that threads load ahead.

    Attributes:
      seen: records tried in the batches given so far.
      failures: those of them that could not be decoded, (id, reason), in order.
    """

    def __init__(
        self,
        load: Callable[[int], tuple[Batch, int, list[Failure]]],
        *,
        num_elements: int,
        batch_size: int,
        workers: int,
        max_failed_share: float,
    ):
        if workers < 0:
            raise ValueError(f"workers must be >= 0, got {workers}")
        self.seen = 0
        self.failures: list[Failure] = []
        self._batch_size = batch_size
        self._max_failed_share = max_failed_share
        options = grain.ReadOptions(
            num_threads=workers,
            prefetch_buffer_size=max(BATCHES_AHEAD * batch_size, workers),
        )
        elements = grain.MapDataset.range(num_elements).map(load)
        self._elements = iter(elements.to_iter_dataset(options))

    def __next__(self) -> Batch:
        rows = []
        for _ in range(self._batch_size):
            row, seen, failures = next(self._elements)
            rows.append(row)
            self._count(seen, failures)
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

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
        """Stops the threads; what they are decoding is finished and thrown away."""
        self._elements.close()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()


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
      workers: threads that decode; 0 decodes when a batch is asked for.
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
        is out of range or of other frames than RGB.
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
    augment = augment or Augment()
    augment.check()
    if augment.on and split.modality != "rgb":
        raise ValueError(
            f"only RGB can be augmented, got augment={augment} for frames of "
            f"{split.modality!r}"
        )

    def load(position: int):
        element = plan.global_position(
            position, batch_size, process_index, process_count
        )
        element += start_step * batch_size
        first = plan.row(seed, element, num_records)
        failures: list[Failure] = []
        for attempt in range(min(num_records, MIN_SEEN)):
            record = split.source[(first + attempt) % num_records]
            rng = plan.augmentation_rng(seed, element)
            try:
                clip, flipped, fingerprint, label = train_clip(
                    record,
                    view,
                    rng,
                    may_flip=may_flip,
                    decode=split.decode,
                )
            except VideoError as error:
                failures.append((record["id"], str(error)))
                continue
            row = {
                "video": clip,
                "label": split.target(label),
                "flip": np.bool_(flipped),
                "fingerprint": fingerprint,
                # Last of what is drawn: without it the clips are the same.
                **augment.draw(rng),
            }
            return row, attempt + 1, failures
        raise TooManyFailures(
            f"{len(failures)} records in a row cannot be decoded; the last: "
            f"{failures[-1][1]}"
        )

    return Batches(
        load,
        num_elements=sys.maxsize,
        batch_size=local_size,
        workers=workers,
        max_failed_share=max_failed_share,
    )


def eval_batches(
    split: Split,
    view: View,
    *,
    clips: int = 1,
    crops: int = 1,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 2,
) -> Batches:
    """Loads every record of a split once, in order, with all its test views.

    All processes get the same number of batches. Rows beyond the end of the split, and
    records that cannot be decoded (logged, and listed in `failures`), have `index` -1,
    `label` -1 (zeros where it is multi-hot) and a black video: leave them out of every
    sum.

    Args:
      split: where the records are.
      view: what of a video is shown.
      clips: clips of each video.
      crops: 1 or 3 crops of each clip.
      batch_size: videos of the global batch B.
      process_index: this process, p.
      process_count: how many share each batch, P; it gets b = B / P rows.
      workers: threads that decode; 0 decodes when a batch is asked for.

    Returns:
      An iterator over dicts: `video` uint8 [b, V, T, S, S, C] with V = clips * crops,
      as `view.eval_clips` orders them; `label` int32 [b], or multi-hot uint8
      [b, classes] of a multi-label split, or int32 [b, tasks]; `index` int32 [b], the row; `id` str [b], the
      record's.

    Raises:
      ValueError: sizes that do not fit, or clips or crops not supported.
    """
    local_size = plan.process_batch_size(batch_size, process_index, process_count)
    num_records = len(split.source)
    num_batches = -(-num_records // batch_size)
    # Raises here rather than in a thread.
    eval_boxes(view.crop, view.crop, resize=view.resize, crop=view.crop, crops=crops)
    views = len(clip_offsets(clips)) * crops
    channels = split.decoded_channels
    shape = (views, view.num_frames, view.crop, view.crop, channels)
    left_out = {
        "video": np.zeros(shape, np.uint8),
        "label": split.target(
            (-1,) * len(split.tasks) if split.tasks or split.multi_label else -1
        ),
        "index": np.int32(-1),
        "id": "",
    }

    def load(position: int):
        index = plan.global_position(position, batch_size, process_index, process_count)
        if index >= num_records:
            return left_out, 0, []
        record = split.source[index]
        try:
            views = eval_clips(
                record["video"],
                record["num_frames"],
                view,
                clips=clips,
                crops=crops,
                name=record["id"],
                decode=split.decode,
            )
        except VideoError as error:
            return left_out, 1, [(record["id"], str(error))]
        row = {
            "video": views,
            "label": split.target(record["label"]),
            "index": np.int32(index),
            "id": record["id"],
        }
        return row, 1, []

    return Batches(
        load,
        num_elements=num_batches * local_size,
        batch_size=local_size,
        workers=workers,
        max_failed_share=1.0,
    )
