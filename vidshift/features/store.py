"""Files of features: one array a video, and `features.json`, which says what they are.

An array gets its name when it is complete. What was begun and not finished is made anew.
"""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

DESCRIPTION = "features.json"
FORMATS = ("npy", "npz")
# The array's name in a .npz, which ActionFormer's EPIC-Kitchens loader reads.
ARRAY = "feats"
# Least time from one writing of the description to the next.
SECONDS_BETWEEN_SAVES = 5.0


class Store:
    """A folder of features.

    Args:
      folder: is made with the first file.
      settings: what all files of the folder share: the network and the windows.
      format: a name in FORMATS.

    Raises:
      ValueError: the folder has features of other settings, or a damaged description.
    """

    def __init__(
        self, folder: pathlib.Path, settings: Mapping[str, Any], *, format: str
    ):
        self._folder, self._format = folder, format
        # As JSON has it: lists for tuples.
        self._settings = json.loads(json.dumps({**settings, "format": format}))
        self.videos: dict[str, dict] = {}
        self.failures: dict[str, str] = {}
        self.feature_shape: list[int] | None = None
        self._saved = time.monotonic()
        if (folder / DESCRIPTION).exists():
            self._read(folder / DESCRIPTION)

    def _read(self, file: pathlib.Path) -> None:
        try:
            described = json.loads(file.read_text())
            settings, self.videos = described["settings"], described["videos"]
            self.feature_shape = described["feature_shape"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} is damaged ({error}): remove it, or give another --out"
            ) from error
        names = sorted(settings.keys() | self._settings.keys())
        for name in names:
            ours, theirs = self._settings.get(name), settings.get(name)
            if ours != theirs:
                raise ValueError(
                    f"{self._folder} has features with {name}={theirs}, and this asks "
                    f"for {name}={ours}: give another --out"
                )

    def file(self, name: str) -> pathlib.Path:
        if ".." in pathlib.PurePath(name).parts or name.startswith("/"):
            raise ValueError(f"{name!r} cannot name a file below {self._folder}")
        return self._folder / f"{name}.{self._format}"

    def has(self, name: str) -> bool:
        """Says whether a video's features are complete."""
        return name in self.videos and self.file(name).is_file()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator["Rows"]:
        """Gives what takes a video's features; they are kept if `finish` was called."""
        file = self.file(name)
        if not (self._folder / DESCRIPTION).exists():
            self.save()  # before any file, so that none is without
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        rows = Rows(partial)
        try:
            yield rows
            if rows.described is None:
                return
            rows.close()
            self._keep(partial, file)
            self.feature_shape = rows.feature_shape
            self.videos[name] = rows.described
            self.failures.pop(name, None)
        finally:
            rows.close()
            partial.unlink(missing_ok=True)
        if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
            self.save()

    def _keep(self, partial: pathlib.Path, file: pathlib.Path) -> None:
        if self._format == "npz":
            array = np.load(partial, mmap_mode="r")
            zipped = partial.with_name(f"{partial.name}.npz")
            np.savez(zipped, **{ARRAY: array})
            zipped.replace(partial)
        partial.replace(file)

    def save(self) -> None:
        """Writes the description, whole or not at all."""
        described = {
            "settings": self._settings,
            "feature_shape": self.feature_shape,
            "videos": dict(sorted(self.videos.items())),
            "failures": dict(sorted(self.failures.items())),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{DESCRIPTION}"
        unfinished.write_text(json.dumps(described, indent=1) + "\n")
        os.replace(unfinished, self._folder / DESCRIPTION)
        self._saved = time.monotonic()


class Rows:
    """A `.npy` that grows row by row, so that no video's features are held."""

    def __init__(self, file: pathlib.Path):
        self._file = file.open("wb")
        self._count = 0
        self.feature_shape: list[int] | None = None
        self.described: dict | None = None

    def append(self, rows: np.ndarray) -> None:
        """Writes float32 `[n, ...]`."""
        if self.feature_shape is None:
            self.feature_shape = list(rows.shape[1:])
            self._write_head()
        self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self._count += len(rows)

    def finish(self, described: dict) -> None:
        """Says what the video is, once all rows are written."""
        self.described = {**described, "windows": self._count}

    def close(self) -> None:
        if self._file.closed:
            return
        if self.feature_shape is not None:
            self._file.seek(0)
            self._write_head()  # NumPy leaves room for the number to grow
        self._file.close()

    def _write_head(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": "<f4",
                "fortran_order": False,
                "shape": (self._count, *self.feature_shape),
            },
        )
