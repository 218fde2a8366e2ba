"""A TFDS data set of labelled images, such as ImageNet, prepared as ArrayRecord files."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds

from vidshift.data.annotations import mirrored
from vidshift.data.media import images
from vidshift.data.records.record import Record
from vidshift.data.records.tfds_rows import open_rows, reading_metadata
from vidshift.data.sources.split import Split, TfdsSource

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(slots=True)
class TfdsImages:
    """Data set, and its splits in TFDS's words ("train[:90%]").

    The name may say configuration and version: "imagenet_resized/64x64:0.1.0".
    """

    name: str = "imagenet2012"
    train: str = "train"
    validation: str = "validation"
    test: str = "validation"


def _record(split: str, record: Mapping[str, Any], row: int) -> Record:
    """An image, left encoded."""
    return Record(
        video=record["image"],
        label=int(record["label"]),
        id=record.get("file_name", f"{split}/{row}".encode()).decode(),
        num_frames=1,
        fps=0.0,
    )


def open_split(
    split: str, *, data_dir: str, options: TfdsImages | None = None
) -> Split:
    """Opens a split of a data set that TFDS has prepared; TensorFlow is not needed.

    Args:
      split: one of SPLITS.
      data_dir: TFDS's folder of all data sets.

    Raises:
      ValueError: the data set is not there, is in other files than ArrayRecord, has no
        `image` and `label`, or no such split.
    """
    options = options or TfdsImages()
    folder = _folder(data_dir, options.name)
    with reading_metadata(folder, f"remove {folder}; {_how(data_dir, options.name)}"):
        builder = tfds.builder_from_directory(folder)
    features = dict(builder.info.features)
    image, label = (features.get(name) for name in ("image", "label"))
    labelled = isinstance(label, tfds.features.ClassLabel)
    if not (labelled and isinstance(image, tfds.features.Image)):
        raise ValueError(
            f"{options.name} needs features `image` (Image) and `label` (ClassLabel), "
            f"has: {', '.join(sorted(features))}"
        )
    array_record = tfds.core.FileFormat.ARRAY_RECORD
    formats = builder.info.available_file_formats()
    if array_record not in formats:
        raise ValueError(
            f"{options.name} in {data_dir} is of "
            f"{', '.join(sorted(format.value for format in formats))} files; "
            f"{_how(data_dir, options.name)}"
        )
    wanted = getattr(options, split)
    left_encoded = {"image": tfds.decode.SkipDecoding()}
    records = open_rows(builder, wanted, decoders=left_encoded)
    return Split(
        source=TfdsSource(
            records, functools.partial(_record, f"{options.name}/{wanted}")
        ),
        classes=tuple(label.names),
        flip_labels=mirrored.of_names(label.names),
        decode=images.decode,
    )


def _folder(data_dir: str, name: str) -> pathlib.Path:
    """Returns the folder of the version named, or of the newest."""
    name, _, version = name.partition(":")
    folder = pathlib.Path(data_dir) / name
    versions = [
        path.parent
        for path in folder.glob(f"{version or '*'}/dataset_info.json")
        if tfds.core.Version.is_valid(path.parent.name)
    ]
    if not versions:
        raise ValueError(
            f"there is no data set prepared in {folder}{version and '/'}{version}; "
            f"{_how(data_dir, name)}"
        )
    return max(versions, key=lambda path: tfds.core.Version(path.name))


def _how(data_dir: str, name: str) -> str:
    return (
        f"`tfds build {name} --file_format=array_record --data_dir={data_dir}` prepares "
        "it (ImageNet's archives have to be downloaded by hand first, as TFDS says)"
    )
