"""Annotation files: which one it is, its entries, and errors that say where.

What reads a file gives each entry with its place ("train.csv, line 3"), for errors.
"""

import csv
import difflib
import io
import json
import pathlib
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from vidshift.class_names import clean, listed
from vidshift.data.annotations.clip import AnnotationError, Clip

# The header of a video holds a fraction of whole numbers.
MIN_FPS, MAX_FPS = 0.001, 1_000_000


def find(source: pathlib.Path, *names: str) -> pathlib.Path:
    """Returns the first of some files that exists.

    Args:
      source: the data set's folder.
      names: paths below it, the one that an error is to name first.
    """
    if path := optional(source, *names):
        return path
    require(source)
    others = f" (nor {', '.join(names[1:])} there)" if names[1:] else ""
    raise AnnotationError(f"{source / names[0]}: there is no such file{others}")


def optional(source: pathlib.Path, *names: str) -> pathlib.Path | None:
    """Returns the first of some files that exists, or None."""
    paths = (source / name for name in names)
    return next((path for path in paths if path.is_file()), None)


def require(source: pathlib.Path) -> None:
    """Raises where the data set's folder is not there."""
    if not source.is_dir():
        raise AnnotationError(f"{source}: there is no such folder")


def text(path: pathlib.Path) -> str:
    """Returns a file's text, its letters composed (NFC), so that a name is one name."""
    try:
        return unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: is not text in UTF-8: {error}") from error


def lines(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields (place, line) of each line that is not blank, less the space around it."""
    # Not `splitlines`, which also splits at characters that names may hold.
    for number, line in enumerate(text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def rows(path: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    """Yields (place, fields) of each row of a file with commas between fields.

    Space around a field is no part of it.
    """
    reader = csv.reader(io.StringIO(text(path)), skipinitialspace=True)
    try:
        for row in reader:
            if row:
                place = f"{path}, line {reader.line_num}"
                yield place, [field.strip() for field in row]
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {reader.line_num}: {error}") from error


def table(path: pathlib.Path, *columns: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yields (place, field by column) of each row below the first, which names columns.

    Args:
      columns: those that have to be there.
    """
    entries = rows(path)
    place, header = next(entries, (f"{path}, line 1", []))
    # Which of two would count?
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if twice:
        raise AnnotationError(
            f"{place}: has several columns of one name: {listed(twice)}; rename or remove "
            "all but one"
        )
    missing = [name for name in columns if name not in header]
    if missing:
        raise AnnotationError(
            f"{place}: has no column {', '.join(missing)}; its columns are: "
            f"{', '.join(header)}"
        )
    for place, row in entries:
        if len(row) != len(header):
            raise AnnotationError(
                f"{place}: has {len(row)} fields, and the first line {len(header)}"
            )
        yield place, dict(zip(header, row))


def parsed(path: pathlib.Path, kind: type) -> Any:
    """Returns the content of a JSON file: a `dict` or a `list`."""
    try:
        content = json.loads(text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}, line {error.lineno}: is not JSON: {error.msg}"
        ) from error
    if not isinstance(content, kind):
        raise AnnotationError(
            f"{path}: holds a {type(content).__name__}, and a {kind.__name__} is "
            f"expected"
        )
    return content


def objects(path: pathlib.Path, *keys: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields (place, object) of a JSON file's list; each must have the keys."""
    for number, entry in enumerate(parsed(path, list), start=1):
        place = f"{path}, entry {number}"
        missing = [
            key for key in keys if not isinstance(entry, dict) or key not in entry
        ]
        if missing:
            raise AnnotationError(f"{place}: has no {', '.join(missing)}")
        yield place, entry


def number(value: Any, place: str, what: str, below: int | None = None) -> int:
    """Returns a whole number from 0, and below `below`."""
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = -1
    if whole < 0 or (below is not None and whole >= below):
        limits = "from 0" if below is None else f"in [0, {below})"
        raise AnnotationError(
            f"{place}: {what} must be a whole number {limits}, got {value!r}"
        )
    return whole


def seconds(value: str, place: str, what: str) -> float:
    """Returns the seconds of a time such as "12.5" or "00:01:02.5"."""
    try:
        *hours_and_minutes, last = value.split(":")
        time = float(last)
        for scale, part in zip((60, 3600), reversed(hours_and_minutes), strict=False):
            time += scale * int(part)
        valid = len(hours_and_minutes) < 3 and 0 <= time < float("inf")
    except ValueError:
        valid = False
    if not valid:
        raise AnnotationError(
            f"{place}: {what} must be a time in seconds, got {value!r}"
        )
    return time


def rate(value: str | float, place: str) -> float:
    """Returns frames a second, within the limits of a video file."""
    try:
        fps = float(value)
    except ValueError:
        fps = 0.0
    if not MIN_FPS <= fps <= MAX_FPS:
        raise AnnotationError(
            f"{place}: fps must be frames a second, {MIN_FPS} to {MAX_FPS:,}, "
            f"got {value!r}"
        )
    return fps


def label_of(name: str, labels: Mapping[str, int], place: str) -> int:
    name = name if name in labels else clean(name)
    if name not in labels:
        nearest = difflib.get_close_matches(name, labels, n=1)
        hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
        raise AnnotationError(
            f"{place}: {name!r} is none of the {len(labels)} classes{hint}"
        )
    return labels[name]


def numbered(classes: Collection[str], path: pathlib.Path) -> dict[str, int]:
    """Returns the number of each class of a file's list."""
    classes = [clean(name) for name in classes]
    labels = {name: label for label, name in enumerate(classes)}
    if not labels:
        raise AnnotationError(f"{path}: lists no class")
    if len(labels) != len(classes):
        twice = next(name for name in labels if classes.count(name) > 1)
        raise AnnotationError(f"{path}: lists the class {twice!r} twice")
    return labels


def in_order(classes: Sequence[tuple[int, str]], path: pathlib.Path) -> tuple[str, ...]:
    """Returns the names of (number, name) in the order of the numbers."""
    classes = sorted(classes)
    if not classes or [number for number, _ in classes] != list(range(len(classes))):
        raise AnnotationError(f"{path}: must number classes from 0 to their last")
    return tuple(name for _, name in classes)


def add(clips: dict[str, Clip], clip: Clip, place: str) -> None:
    """Adds a clip; one that is listed again, with nothing different, counts once."""
    known = clips.setdefault(clip.id, clip)
    if known != clip:
        raise AnnotationError(
            f"{place}: {clip.id} was listed before with another label, split or time"
        )
