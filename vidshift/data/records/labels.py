"""The form of a clip's labels in a record, a row for each kind of label."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from vidshift.data.annotations.clip import Clip
from vidshift.tasks import MultiLabel, MultiTask, SingleLabel, Task


class LabelForm(NamedTuple):
    # (kind, names of the classes) -> TFDS features of a record.
    features: Callable[[Any, tuple[str, ...]], dict]
    # (kind, clip) -> the fields that TFDS encodes.
    encode: Callable[[Any, Clip], dict]
    # (kind, fields that TFDS decoded) -> the label, and other fields of a `Record`.
    decode: Callable[[Any, Mapping], dict]


def form_of(task: Task) -> LabelForm:
    return FORMS[type(task)]


def _multi_label_features(task: MultiLabel, classes: tuple[str, ...]) -> dict:
    span = tfds.features.Tensor(shape=(2,), dtype=np.float32)
    return {
        "label": tfds.features.Sequence(tfds.features.ClassLabel(names=classes)),
        # When each label holds, seconds from the clip's first frame.
        "spans": tfds.features.Sequence(span),
    }


def _encode_multi_label(task: MultiLabel, clip: Clip) -> dict:
    # Two numbers that no clip passes stand for all of the time.
    spans = clip.spans or ((0.0, np.inf),) * len(clip.label)
    return {
        "label": list(clip.label),
        "spans": [np.asarray(span, np.float32) for span in spans],
    }


def _decode_multi_label(task: MultiLabel, fields: Mapping) -> dict:
    return {
        "label": tuple(int(number) for number in fields["label"]),
        "spans": tuple((float(a), float(b)) for a, b in fields["spans"]),
    }


def _multi_task_features(task: MultiTask, classes: tuple[str, ...]) -> dict:
    labels, first = {}, 0
    for name, number in task.tasks.items():
        names = classes[first : first + number]
        labels[name] = tfds.features.ClassLabel(names=names)
        first += number
    return {"label": labels}


FORMS: dict[type[Task], LabelForm] = {
    SingleLabel: LabelForm(
        lambda task, classes: {"label": tfds.features.ClassLabel(names=classes)},
        lambda task, clip: {"label": clip.label},
        lambda task, fields: {"label": int(fields["label"])},
    ),
    MultiLabel: LabelForm(
        _multi_label_features, _encode_multi_label, _decode_multi_label
    ),
    MultiTask: LabelForm(
        _multi_task_features,
        lambda task, clip: {"label": dict(zip(task.tasks, clip.label, strict=True))},
        lambda task, fields: {
            "label": tuple(int(fields["label"][name]) for name in task.tasks)
        },
    ),
}
