"""Shards of a prepared data set: TFDS records in ArrayRecord files, and what is in them.

The folder of a preparation is a TFDS data set, which
`tfds.builder_from_directory(folder).as_data_source(...)` reads too. TFDS's own building is
not used: it starts anew after an interruption, and ends at the first damaged video.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.media.encoding import split_jpegs
from vidshift.data.records.labels import form_of
from vidshift.data.records.storage import Stored
from vidshift.data.records.tfds_rows import read_json, reading_metadata

VERSION = "1.0.0"
# One record a group, so that reading one reads no other; what is in a video is
# compressed already.
WRITER_OPTIONS = "group_size:1,uncompressed"
# File of the data set's own facts, besides TFDS's files, and the fields that it needs.
DESCRIPTION = "vidshift.json"
FIELDS = ("storage", "modality", "classes", "flip_labels", "multi_label", "tasks")
# Joins the splits that a clip is in (`train_1`, `test_2`) to the name of a TFDS split.
AND = "_and_"
# The storage whose clips have a record for each frame.
BY_FRAME = "frames"


class Shard(NamedTuple):
    """A shard that is complete; stored beside it as JSON."""

    # Records of each clip, in order: 1, or one for each of its frames.
    rows: tuple[int, ...]
    size_bytes: int
    # (id, why it cannot be decoded) of the clips that are left out.
    failures: tuple[tuple[str, str], ...]

    @property
    def clips(self) -> int:
        return len(self.rows)


def features(annotations: Annotations) -> tfds.features.FeaturesDict:
    """Returns the fields of a record; `label` is as many numbers as the task needs."""
    task = annotations.task
    return tfds.features.FeaturesDict(
        {
            "video": tfds.features.Scalar(np.bytes_),
            "id": tfds.features.Text(),
            "num_frames": tfds.features.Scalar(np.int32),
            "fps": tfds.features.Scalar(np.float32),
            **form_of(task).features(task, annotations.classes),
        }
    )


class Serializer:
    """Makes the bytes of a clip's records; the same clip gives the same bytes.

    A clip has one, or with the storage "frames" one for each frame, a JPEG, so that
    reading some frames reads no other.
    """

    def __init__(self, annotations: Annotations, storage: str):
        self._annotations, self._by_frame = annotations, storage == BY_FRAME
        self._features = features(annotations)
        self._serializer = tfds.core.example_serializer.ExampleSerializer(
            self._features.get_serialized_info()
        )

    def __call__(self, clip: Clip, stored: Stored) -> list[bytes]:
        files = split_jpegs(stored.video) if self._by_frame else [stored.video]
        return [self._record(clip, stored, video) for video in files]

    def _record(self, clip: Clip, stored: Stored, video: bytes) -> bytes:
        task = self._annotations.task
        record = {
            "video": video,
            "id": clip.id,
            "num_frames": stored.num_frames,
            "fps": stored.fps,
            **form_of(task).encode(task, clip),
        }
        example = self._serializer.get_tf_example(self._features.encode_example(record))
        # The order of a protocol buffer's map is else that of a hash.
        return example.SerializeToString(deterministic=True)


def read_description(folder: pathlib.Path) -> dict:
    """Reads the facts of a prepared data set.

    Raises:
      ValueError: the file is damaged.
    """
    path = folder / DESCRIPTION
    remedy = f"remove {folder} and prepare the data set again"
    description = read_json(path, remedy)
    missing = [field for field in FIELDS if field not in description]
    if missing:
        raise ValueError(f"{path} is damaged (no {', '.join(missing)}): {remedy}")
    return description


def shard_path(folder: pathlib.Path, split: str, index: int, count: int):
    """TFDS's name of a shard's file."""
    name = folder.parents[1].name
    return folder / f"{name}-{split}.array_record-{index:05d}-of-{count:05d}"


def read_shard(path: pathlib.Path) -> Shard | None:
    """Returns the facts of a shard; None if it or its JSON is missing or not whole."""
    try:
        facts = json.loads(_beside(path).read_text(encoding="utf-8"))
        shard = Shard(
            tuple(facts["rows"]),
            facts["size_bytes"],
            tuple((name, reason) for name, reason in facts["failures"]),
        )
    # It is written whole, but a disk may lose it.
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    whole = path.is_file() and path.stat().st_size == shard.size_bytes
    return shard if whole else None


def read_rows(folder: pathlib.Path, split: str, count: int) -> list[int]:
    """Returns the number of records of each clip of a split, in order.

    Raises:
      ValueError: a shard is not whole.
    """
    rows: list[int] = []
    for index in range(count):
        path = shard_path(folder, split, index, count)
        shard = read_shard(path)
        if shard is None:
            raise ValueError(f"{path} is not whole: prepare it again, with --retry")
        rows += shard.rows
    return rows


def write_shard(
    path: pathlib.Path, clips: Iterable[list[bytes] | tuple[str, str]]
) -> Shard:
    """Writes a shard under another name, reads its length again, and renames it.

    Args:
      clips: the records of each, or (id, reason) of one that is left out.

    Raises:
      OSError: it cannot be written whole, for instance on a full disk; nothing is left.
    """
    partial = path.with_name(f"{path.name}.partial")
    rows, failures = [], []
    try:
        with _cannot_write(path):
            writer = ArrayRecordWriter(os.fspath(partial), WRITER_OPTIONS)
        try:
            for clip in clips:
                if isinstance(clip, tuple):
                    failures.append(clip)
                    continue
                with _cannot_write(path):
                    for record in clip:
                        writer.write(record)
                rows.append(len(clip))
        finally:
            with _cannot_write(path):
                writer.close()
        _check(partial, sum(rows))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        shard = Shard(tuple(rows), partial.stat().st_size, tuple(failures))
        write_json(_beside(path), shard._asdict())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return shard


@contextlib.contextmanager
def _cannot_write(path: pathlib.Path) -> Iterator[None]:
    """Adds the path to the errors of the writer, which say neither where nor why."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _check(path: pathlib.Path, number: int) -> None:
    with _cannot_write(path):
        reader = ArrayRecordReader(os.fspath(path))
        written = reader.num_records()
        reader.close()
    if written != number:
        raise OSError(
            f"{path} cannot be written: it holds {written} of {number} records"
        )


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.json")


def write_json(path: pathlib.Path, content: Mapping) -> None:
    """Writes a file that is there whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def has_metadata(folder: pathlib.Path) -> bool:
    """Returns whether TFDS can read the data set of a folder."""
    try:
        with reading_metadata(folder, ""):
            tfds.builder_from_directory(folder)
    except ValueError:
        return False
    return True


def write_metadata(
    folder: pathlib.Path,
    annotations: Annotations,
    shards: Mapping[str, list[Shard]],
    description: str,
) -> None:
    """Writes the files that make a folder of shards a TFDS data set.

    Args:
      folder: `DIR/NAME/CONFIG/VERSION` or `.../VERSION.incomplete`.
      description: of the data set, one line.
    """
    name = folder.parents[1].name
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder,
        dataset_name=name,
        filetype_suffix="array_record",
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features(annotations),
        version=VERSION,
        filename_template=template,
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[sum(shard.rows) for shard in shards[split]],
                num_bytes=sum(shard.size_bytes for shard in shards[split]),
                filename_template=template.replace(split=split),
            )
            for split in shards
        ],
        check_data=False,
        description=description,
    )
