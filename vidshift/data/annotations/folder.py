"""Any videos of one's own: a folder for each class, or a CSV file that names them.

(a) Folders, whose names are the classes', with the videos anywhere below them:

    SOURCE/
      train/CLASS/*.mp4             or, without splits, CLASS/*.mp4
      validation/CLASS/*.mp4        or val/
      test/CLASS/*.mp4

(b) CSV files, which count wherever there is one; videos lie anywhere:

    SOURCE/
      train.csv                     or one file of any name
      validation.csv                or val.csv
      test.csv

Their first line names the columns: `file` (from SOURCE, or absolute) and `label` (the
class's name), and, where wanted, `start` and `end` (seconds, either may be empty), `id`,
and in a file for all splits `split` (train, validation, test).

A clip is a video (.mp4 .webm .avi .mkv .mov .m4v .mpg .mpeg .ts .wmv .flv .3gp), or a
folder of frames: below a class's folder one that directly holds images (.jpg .jpeg .png)
and no video. What begins with a dot is passed over. Classes are in the order of their
names, or of their numbers where all are numbers.

Where neither folders nor a column say the split, each clip goes to one by a hash of its
file's path below SOURCE: other files change nothing, and all parts that are cut from a
video go together. A mirror image keeps its class.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip

SPLITS = ("train", "validation", "test")
COUNTS: dict[str, int] = {}
# Names of each split's folder, CSV file, and in the column `split`.
NAMES = {
    "train": ("train",),
    "validation": ("validation", "val", "validate"),
    "test": ("test",),
}


def read(
    source: pathlib.Path,
    *,
    csv: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    fps: float | None = None,
) -> Annotations:
    """Lists the clips.

    Args:
      source: the folder.
      csv: the CSV file below it; None: `train.csv` and the other splits', or the only
        one there.
      validation_share, test_share: of the clips, where nothing says their split.
      fps: frames a second of folders of frames.

    Raises:
      AnnotationError: no clips, files that cannot be read, a clip listed twice, or a
        class without a clip for training.
      ValueError: a share out of range.
    """
    for name, share in (("validation", validation_share), ("test", test_share)):
        if not 0 <= share < 1:
            raise ValueError(f"{name}_share must be in [0, 1), got {share}")
    if validation_share + test_share >= 1:
        raise ValueError(
            f"validation_share and test_share must leave some clips for training, got "
            f"{validation_share} and {test_share}"
        )
    reading.require(source)
    divide = (validation_share, test_share)
    tables = _tables(source, csv)
    if tables:
        found = _of_tables(source, tables, divide, fps)
        return _annotations(found, ", ".join(map(str, tables)))
    return of_folders(source, divide=divide, fps=fps)


# -------------------------------------------------------------------- folders
def has_splits(source: pathlib.Path) -> bool:
    """Whether the classes' folders are in those of splits, not in the source itself."""
    for folder in (source / name for names in NAMES.values() for name in names):
        # One that holds a video is a class of that name.
        if _folders(folder) and not any(map(_is_video, _entries(folder))):
            return True
    return False


def of_folders(
    source: pathlib.Path,
    *,
    divide: tuple[float, float] = (0.1, 0.1),
    fps: float | None = None,
) -> Annotations:
    """Lists the clips of folders (a)."""
    tops = {split: media.folder(source, *NAMES[split]) for split in SPLITS}
    if not has_splits(source):
        tops = {"": source}
    found = []
    for split, top in tops.items():
        for folder in _folders(top):
            clips = list(_clips(pathlib.Path(folder.path)))
            if not clips and split in ("", "train"):
                raise AnnotationError(
                    f"{folder.path}: is a class's folder without a video "
                    f"({' '.join(media.VIDEOS)}) or a folder of frames below it"
                )
            for path in clips:
                id = path.relative_to(source).as_posix()
                rate = None if media.is_video(path.name) else fps
                splits = (split or _drawn(id, divide),)
                found.append((folder.name, Clip(id, path, splits, 0, fps=rate)))
    return _annotations(found, str(source))


def _entries(folder: pathlib.Path) -> list[os.DirEntry]:
    return media.entries(folder) if folder.is_dir() else []


def _folders(folder: pathlib.Path) -> list[os.DirEntry]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _is_video(entry: os.DirEntry) -> bool:
    return media.is_video(entry.name)


def _clips(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Videos and folders of frames below a class's folder, in the order of the names."""
    for entry in media.entries(folder):
        path = pathlib.Path(entry.path)
        if not entry.is_dir():
            if _is_video(entry):
                yield path
        elif _holds_frames(path):
            yield path
        else:
            yield from _clips(path)


def _holds_frames(folder: pathlib.Path) -> bool:
    names = [entry.name for entry in media.entries(folder)]
    # Images beside videos are their thumbnails.
    return any(map(media.is_image, names)) and not any(map(media.is_video, names))


# ------------------------------------------------------------------ CSV files
def _tables(source: pathlib.Path, csv: str | None) -> dict[pathlib.Path, str | None]:
    """CSV files and the split of what they list; None where each row has its own."""
    if csv is not None:
        return {reading.find(source, csv): None}
    if (source / "train.csv").is_file():
        files = {
            split: [source / f"{name}.csv" for name in NAMES[split]] for split in SPLITS
        }
        return {
            file: split
            for split, choice in files.items()
            for file in [file for file in choice if file.is_file()][:1]
        }
    files = [
        pathlib.Path(entry.path)
        for entry in _entries(source)
        if entry.name.lower().endswith(".csv")
    ]
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise AnnotationError(
            f"{source}: has several CSV files, of which csv has to name one: {names}"
        )
    return dict.fromkeys(files)


def _of_tables(
    source: pathlib.Path,
    tables: Mapping[pathlib.Path, str | None],
    divide: tuple[float, float],
    fps: float | None,
) -> list[tuple[str, Clip]]:
    """(class, clip) of each row; its label is not known yet."""
    found = []
    places: dict[str, str] = {}
    for table, split in tables.items():
        for place, row in reading.table(table, "file", "label"):
            for column in ("file", "label"):
                if not row[column]:
                    raise AnnotationError(f"{place}: {column} is empty")
            path = source / row["file"]
            file = os.path.relpath(path, source).replace(os.sep, "/")
            if file.startswith("../"):
                file = path.as_posix()
            start, end = (
                reading.seconds(row[column], place, column) if row.get(column) else None
                for column in ("start", "end")
            )
            if end is not None and end <= (start or 0):
                raise AnnotationError(f"{place}: end must be after start, got {end}")
            id = row.get("id") or file + _cut(row)
            if id in places:
                raise AnnotationError(f"{place}: {id} is listed before: {places[id]}")
            places[id] = place
            if split is None and "split" in row:
                name = _split(row["split"], place)
            else:
                name = split or _drawn(file, divide)
            frames = not media.is_video(file) and path.is_dir()
            rate = fps if frames else None
            if frames and rate is None and (start is not None or end is not None):
                raise AnnotationError(
                    f"{place}: {file} is a folder of frames, so its start and end need fps"
                )
            clip = Clip(id, path, (name,), 0, start=start, end=end, fps=rate)
            found.append((row["label"], clip))
    return found


def _cut(row: Mapping[str, str]) -> str:
    start, end = row.get("start", ""), row.get("end", "")
    return f"#{start}-{end}" if start or end else ""


def _split(name: str, place: str) -> str:
    for split, names in NAMES.items():
        if name in names:
            return split
    raise AnnotationError(f"{place}: split must be {', '.join(SPLITS)}, got {name!r}")


# ----------------------------------------------------------------------- both
def _drawn(file: str, divide: tuple[float, float]) -> str:
    """The split of a file, by its hash, where nothing says it."""
    validation, test = divide
    digest = hashlib.blake2b(file.encode(), digest_size=8).digest()
    place = int.from_bytes(digest) / 2**64
    # Test first, so that another share of validation clips leaves it as it is.
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def _annotations(found: list[tuple[str, Clip]], where: str) -> Annotations:
    if not found:
        raise AnnotationError(
            f"{where}: lists no clip; expected are folders CLASS/*.mp4 (or "
            f"train/CLASS/*.mp4, validation/..., test/...), or a CSV file with the "
            f"columns file and label"
        )
    names = {name for name, _ in found}
    classes = sorted(names, key=_by_number if all(map(_is_number, names)) else None)
    trained = {name for name, clip in found if clip.splits == ("train",)}
    untrained = [name for name in classes if name not in trained]
    if untrained:
        raise AnnotationError(
            f"{where}: has classes without a clip for training: {', '.join(untrained)}"
        )
    labels = {name: label for label, name in enumerate(classes)}
    return Annotations(
        clips=tuple(
            dataclasses.replace(clip, label=labels[name]) for name, clip in found
        ),
        classes=tuple(classes),
        flip_labels=mirrored.unchanged(classes),
    )


def _is_number(name: str) -> bool:
    return re.fullmatch(r"-?[0-9]+", name) is not None


def _by_number(name: str) -> tuple[int, str]:
    return int(name), name
