"""Records of TFDS splits in ArrayRecord files, and what is said of one that is damaged."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from vidshift.data.media.video import VideoError

# Files of TFDS's own, in JSON, beside the records.
METADATA = ("dataset_info.json", "features.json")


def read_json(path: pathlib.Path, remedy: str) -> dict:
    """Reads a file that holds an object.

    Args:
      remedy: what to do where it is damaged.

    Raises:
      ValueError: it is cut short or holds something else.
      OSError: it cannot be opened.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error
    if isinstance(found, dict):
        return found
    raise ValueError(f"{path} is damaged (it is a {type(found).__name__}): {remedy}")


@contextlib.contextmanager
def reading_metadata(folder: pathlib.Path, remedy: str) -> Iterator[None]:
    """Makes each error of TFDS about a folder's metadata a ValueError that names the file.

    Args:
      folder: of the data set and version.
      remedy: what to do where it is damaged.
    """
    for name in METADATA:
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is not there: {remedy}")
        read_json(folder / name, remedy)
    try:
        yield
    # Of TFDS, of the protocol buffers, or of whatever meets a value of another type.
    except Exception as error:
        reason = " ".join(str(error).split())
        names = " or ".join(METADATA)
        raise ValueError(
            f"{folder}: {names} is damaged ({reason}): {remedy}"
        ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class TfdsRows:
    """Decoded records by row; sent to another process, it opens the files there."""

    # Gives bytes, as `features` does not say which file an error is of.
    source: Any
    features: tfds.features.FeaturesDict
    decoders: Mapping[str, Any] | None
    # (path, number of its first record, rows) of each part of a file that is read.
    files: tuple[tuple[str, int, int], ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Reads a record.

        Raises:
          VideoError: the file is not there, cut short, damaged where the record is, or
            cannot be read; of what array_record knows by its hashes.
        """
        try:
            data = self.source[row]
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise VideoError(f"{self.where(row)}: cannot be read ({reason})") from error
        # What array_record gives of a file that was cut short since it was opened.
        if not data:
            raise VideoError(f"{self.where(row)}: empty, the file was cut short")
        try:
            return self.features.deserialize_example_np(data, decoders=self.decoders)
        except DecodeError as error:
            raise VideoError(f"{self.where(row)}: no record ({error})") from error

    def where(self, row: int) -> str:
        """Names the file of a row and the record in it."""
        for path, first, rows in self.files:
            if row < rows:
                return f"{os.path.basename(path)} record {first + row}"
            row -= rows
        raise IndexError(f"there are {len(self)} rows")


def open_rows(
    builder: tfds.core.DatasetBuilder,
    split: str,
    *,
    decoders: Mapping[str, Any] | None = None,
) -> TfdsRows:
    """Opens a split, in TFDS's words ("train[:90%]"); no file is read yet.

    Args:
      decoders: of features that are left as they are stored, as TFDS takes them.
    """
    return TfdsRows(
        builder.as_data_source(
            split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            file_format=tfds.core.FileFormat.ARRAY_RECORD,
        ),
        builder.info.features,
        decoders,
        tuple(
            (file.filename, file.skip, file.take)
            for file in builder.info.splits[split].file_instructions
        ),
    )
