"""Records of TFDS splits in ArrayRecord files, and what is said of one that is damaged."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from vidshift.data.video import VideoError


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
