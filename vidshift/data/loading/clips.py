"""Rows of a batch: a record is read, and shown as the view says."""

from collections.abc import Callable, Collection

import numpy as np

from vidshift.data.device.augment import Augment
from vidshift.data.loading import plan
from vidshift.data.media.video import VideoError
from vidshift.data.parallel.workers import Failed
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split, where
from vidshift.data.views.view import View, eval_clips, train_clip

Row = dict[str, np.ndarray]


def load(
    split: Split, show: Callable[[Record, int], Row], attempt: plan.Attempt
) -> Row | Failed:
    """Reads a record and shows it; a record that cannot be decoded has failed."""
    element, row = attempt
    name = None
    try:
        record = split.source[row]
        name = record["id"]
        return show(record, element)
    except VideoError as error:
        return Failed(str(error), name or where(split.source, row))


def crashed(split: Split, attempt: plan.Attempt, reason: str) -> Failed:
    """Names the record on which a process died."""
    row = attempt[1]
    try:
        name = split.source[row]["id"]
    except VideoError:
        name = where(split.source, row)
    return Failed(f"{name}: {reason}", name)


def show_train(
    split: Split,
    view: View,
    seed: int,
    may_flip: bool,
    unflipped: Collection[int],
    augment: Augment,
    record: Record,
    element: int,
) -> Row:
    """Returns a training clip, as `train_batches` describes a row.

    Args:
      unflipped: labels whose clips are not flipped, even if others are.
    """
    labels = record["label"]
    labels = labels if isinstance(labels, tuple) else (labels,)
    may_flip = may_flip and not any(label in unflipped for label in labels)
    rng = plan.augmentation_rng(seed, element)
    clip, flipped, fingerprint, label = train_clip(
        record, view, rng, may_flip=may_flip, decode=split.decode
    )
    target = split.task.target(label, len(split.classes))
    if (target < 0).any():
        raise ValueError(f"{record['id']} has no label to be trained on")
    return {
        # A clip that is only cut out would keep the full frames.
        "video": np.ascontiguousarray(clip),
        "label": target,
        "flip": np.bool_(flipped),
        "fingerprint": fingerprint,
        # Drawn last: the clips are the same without it.
        **augment.draw(rng),
    }


def show_eval(
    split: Split, view: View, clips: int, crops: int | str, record: Record, row: int
) -> Row:
    """Returns all test views of a video, as `eval_batches` describes a row."""
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
        "index": np.int32(row),
        "id": record["id"],
    }
