"""Any videos of one's own: a folder for each class, or a CSV file that names them.

(a) Folders, whose names are the classes', with the videos anywhere below them:

    SOURCE/
      train/CLASS/*.mp4             or, without splits, CLASS/*.mp4
      validation/CLASS/*.mp4        or val/, valid/, validate/
      test/CLASS/*.mp4

(b) CSV files, which count wherever there is one; videos lie anywhere:

    SOURCE/
      train.csv                     or one file of any name
      validation.csv                or val.csv, valid.csv, validate.csv
      test.csv

Their first line names the columns: `file` (from SOURCE, or absolute) and `label` (the
class's name), and, where wanted, `start` and `end` (seconds, either may be empty), `id`,
and `split` (train, validation, test), which counts in a file of any name that is the
only one.

A clip is a video (media.VIDEOS lists the suffixes; files of unknown ones are opened to
see), or a folder of frames: below a class's folder one that directly holds images
(media.IMAGES) and no video. What begins with a dot is passed over, and so are other
files, which are counted and named. Classes are in the order of their names, or of their
numbers where all are numbers. Names are the same however their letters are encoded and
whatever space is around them.

Where neither folders nor a column say the split, each clip goes to one by a hash of its
file's path below SOURCE: other files change nothing, and all parts that are cut from a
video go together.

The class of a mirror image is read from the names: left and right swap
(vidshift/data/annotations/mirrored.py). Of a class whose mirror image is no class, such
as "turning left" without "turning right", training refuses to flip anything until `mirror`
(--mirror, or config.data.mirror) says what it is.
"""

import collections
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from vidshift.class_names import clean, listed, look_alikes
from vidshift.data.annotations import media, mirrored, reading
from vidshift.data.annotations.clip import AnnotationError, Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "validation", "test")
# Files of one unknown suffix that are opened although the ones before held no video.
MOST_IN_VAIN = 100
# Names of each split's folder, CSV file, and in the column `split`.
NAMES = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "validate"),
    "test": ("test",),
}


def read(
    source: pathlib.Path,
    *,
    csv: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    fps: float | None = None,
    mirror: Sequence[str] = (),
) -> Annotations:
    """Lists the clips.

    Args:
      source: the folder.
      csv: the CSV file below it; None: `train.csv` and the other splits', or the only
        one there.
      validation_share, test_share: of the clips, where nothing says their split.
      fps: frames a second of folders of frames.
      mirror: "swipe left=swipe right", pairs of classes that are each other's mirror
        image, beside those that their names say.

    Raises:
      AnnotationError: no clips, files that cannot be read, a clip listed twice, a link
        that leads back to a folder above it, or a class without a clip for training.
      ValueError: a share out of range, or a pair of anything but two classes.
    """
    for name, share in (("validation", validation_share), ("test", test_share)):
        if not 0 <= share < 1:
            raise ValueError(f"{name}_share must be in [0, 1), got {share}")
    if validation_share + test_share >= 1:
        raise ValueError(
            f"validation_share and test_share must leave some clips for training, got "
            f"{validation_share} and {test_share}"
        )
    if fps is not None:
        reading.rate(fps, "--fps")
    reading.require(source)
    divide = (validation_share, test_share)
    tables = _tables(source, csv)
    if tables:
        rows = _of_tables(source, tables, divide, fps)
        annotations = _annotations(rows, ", ".join(map(str, tables)))
    else:
        if has_splits(source):
            _refuse_beside(source)
        annotations = of_folders(source, divide=divide, fps=fps)
    classes = annotations.classes
    flip_labels = mirrored.with_pairs(classes, mirrored.of_names(classes), mirror)
    return dataclasses.replace(annotations, flip_labels=flip_labels)


# -------------------------------------------------------------------- folders
def has_splits(source: pathlib.Path) -> bool:
    """Returns whether the classes' folders lie in folders of splits."""
    for folder in (source / name for names in NAMES.values() for name in names):
        # One that holds a video is a class of that name.
        names_in = [entry.name for entry in _entries(folder)]
        if _folders(folder) and not any(map(media.is_video, names_in)):
            return True
    return False


def of_folders(
    source: pathlib.Path,
    *,
    divide: tuple[float, float] = (0.1, 0.1),
    fps: float | None = None,
) -> Annotations:
    """Lists the clips of folders (a)."""
    tops = {"": source}
    if has_splits(source):
        tops = {split: _only(source, split) for split in SPLITS}
    walk, rows = _Walk(), []
    walk.beside(source, *(top for split, top in tops.items() if split))
    for split, top in tops.items():
        for folder in _folders(top):
            clips = list(walk.clips(pathlib.Path(folder.path)))
            if not clips and split in ("", "train"):
                raise AnnotationError(
                    f"{folder.path}: is a class's folder without a video "
                    f"({' '.join(media.VIDEOS)}) or a folder of frames below it"
                )
            names = (path.relative_to(source).as_posix() for path in clips)
            rows += [
                (folder.name, split, name, unicodedata.normalize("NFC", name), path)
                for name, path in zip(names, clips)
            ]
    times = collections.Counter(composed for *_, composed, _ in rows)
    named_clips = []
    for label, split, name, composed, path in rows:
        # Two files may differ in nothing but how their letters are encoded.
        id = composed if times[composed] == 1 else name
        frames = not media.is_video(path.name) and path.is_dir()
        rate = fps if frames else None
        splits = (split or _drawn(composed, divide),)
        named_clips.append((label, Clip(id, path, splits, 0, fps=rate)))
    return _annotations(named_clips, str(source), walk.warnings())


def _only(source: pathlib.Path, split: str, suffix: str = "") -> pathlib.Path:
    """Returns a split's folder or file, under whichever of its names exists."""
    paths = [source / f"{name}{suffix}" for name in NAMES[split]]
    present = [path for path in paths if path.exists()]
    if len(present) > 1:
        raise AnnotationError(
            f"{source}: {listed(path.name for path in present)} are one split, "
            f"{split}, under several names; put them into one, or rename one"
        )
    return (present or paths)[0]


def _refuse_beside(source: pathlib.Path) -> None:
    """Raises where folders with clips are beside those of splits, and in none of them."""
    splits = {name for names in NAMES.values() for name in names}
    walk = _Walk()
    beside = [
        entry.name
        for entry in _folders(source)
        if entry.name not in splits
        and next(walk.clips(pathlib.Path(entry.path)), None) is not None
    ]
    if beside:
        names = [entry.name for entry in _folders(source) if entry.name in splits]
        raise AnnotationError(
            f"{source}: {listed(names)} {'is' if len(names) == 1 else 'are'} taken for "
            f"the folder of a split, and videos are beside it too, in {listed(beside)}; "
            f"if those are classes, move them below it ({names[0]}/{beside[0]}), and "
            f"if {names[0]} is a class, rename it, or put all classes below train "
            f"(train/{names[0]}, train/{beside[0]})"
        )


def _entries(folder: pathlib.Path) -> list[os.DirEntry]:
    return media.entries(folder) if folder.is_dir() else []


def _folders(folder: pathlib.Path) -> list[os.DirEntry]:
    return [entry for entry in _entries(folder) if media.is_folder(entry)]


class _Walk:
    """Walks through the folders of classes, and notes the files that are passed over."""

    def __init__(self):
        self._passed: list[str] = []
        # Files of an unknown suffix in which there is no video; None where one had one.
        self._in_vain: dict[str, int | None] = {}
        self._outside: list[str] = []

    def beside(self, *folders: pathlib.Path) -> None:
        """Notes videos that lie beside the folders of classes, in none of them."""
        for folder in folders:
            self._outside += [
                entry.path
                for entry in _entries(folder)
                if media.is_video(entry.name) and not media.is_folder(entry)
            ]

    def clips(self, folder: pathlib.Path) -> Iterator[pathlib.Path]:
        """Videos and folders of frames below a class's folder, in the order of names."""
        media.check_loop(folder)
        for entry in media.entries(folder):
            path = pathlib.Path(entry.path)
            if not media.is_folder(entry):
                if self._holds_video(entry):
                    yield path
                else:
                    self._passed.append(entry.path)
            elif self._holds_frames(path):
                yield path
            else:
                yield from self.clips(path)

    def _holds_video(self, entry: os.DirEntry) -> bool:
        suffix = os.path.splitext(entry.name)[1].lower()
        in_vain = self._in_vain.setdefault(suffix, 0)
        # A hundred thousand notes are not opened one by one.
        if in_vain is not None and in_vain >= MOST_IN_VAIN:
            return False
        is_video = media.holds_video(entry)
        if is_video:
            self._in_vain[suffix] = None
        elif in_vain is not None:
            self._in_vain[suffix] = in_vain + 1
        return is_video

    def _holds_frames(self, folder: pathlib.Path) -> bool:
        files = [e for e in media.entries(folder) if not media.is_folder(e)]
        # Images beside videos are their thumbnails.
        return any(media.is_image(entry.name) for entry in files) and not any(
            self._holds_video(entry)
            for entry in files
            if not media.is_image(entry.name)
        )

    def warnings(self) -> list[str]:
        lines = []
        if self._passed:
            suffixes = collections.Counter(
                os.path.splitext(path)[1].lower() or "no suffix"
                for path in self._passed
            )
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in suffixes.most_common(12))
            lines.append(
                f"files passed over, which are no videos by their suffix or content: "
                f"{kinds} ({listed(self._passed)})"
            )
        if self._outside:
            lines.append(
                f"videos passed over, which are in no class's folder: "
                f"{len(self._outside):,} ({listed(self._outside)})"
            )
        return lines


# ------------------------------------------------------------------ CSV files
def _tables(source: pathlib.Path, csv: str | None) -> dict[pathlib.Path, str | None]:
    """Returns the CSV files, each with the split that its name says, or None."""
    if csv is not None:
        return {reading.find(source, csv): None}
    if (source / "train.csv").is_file():
        files = {split: _only(source, split, ".csv") for split in SPLITS}
        return {file: split for split, file in files.items() if file.is_file()}
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
    """Returns (class, clip) of each row; its label is not known yet."""
    named_clips = []
    places: dict[str, str] = {}
    names = functools.cache(media.names_in)
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
            part = f"#{row.get('start', '')}-{row.get('end', '')}"
            id = row.get("id") or (file if part == "#-" else file + part)
            if id in places:
                raise AnnotationError(f"{place}: {id} is listed before: {places[id]}")
            places[id] = place
            name = _split(row["split"], place) if "split" in row else split
            if split is not None and name != split and len(tables) > 1:
                raise AnnotationError(
                    f"{place}: split is {row['split']!r}, in a file of the split {split}; "
                    "move the row to that split's file, or remove the column"
                )
            name = name or _drawn(file, divide)
            path = media.on_disk(path, names)
            frames = not media.is_video(file) and path.is_dir()
            rate = fps if frames else None
            if frames and rate is None and (start is not None or end is not None):
                raise AnnotationError(
                    f"{place}: {file} is a folder of frames, so its start and end need fps"
                )
            clip = Clip(id, path, (name,), 0, start=start, end=end, fps=rate)
            named_clips.append((row["label"], clip))
    return named_clips


def _split(name: str, place: str) -> str:
    for split, names in NAMES.items():
        if name in names:
            return split
    raise AnnotationError(f"{place}: split must be {', '.join(SPLITS)}, got {name!r}")


# ----------------------------------------------------------------------- both
def _drawn(file: str, divide: tuple[float, float]) -> str:
    """Draws the split of a file by its hash."""
    validation, test = divide
    digest = hashlib.blake2b(file.encode(), digest_size=8).digest()
    place = int.from_bytes(digest) / 2**64
    # Test first, so that another share of validation clips leaves it as it is.
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def _annotations(
    named_clips: list[tuple[str, Clip]], where: str, warnings: Sequence[str] = ()
) -> Annotations:
    if not named_clips:
        raise AnnotationError(
            f"{where}: lists no clip; expected are folders CLASS/*.mp4 (or "
            f"train/CLASS/*.mp4, validation/..., test/...), or a CSV file with the "
            f"columns file and label"
        )
    spelt: dict[str, set[str]] = {}
    for name, _ in named_clips:
        spelt.setdefault(clean(name), set()).add(name)
    if "" in spelt:
        raise AnnotationError(f"{where}: has a class whose name is nothing but space")
    named_clips = [(clean(name), clip) for name, clip in named_clips]
    are_numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in spelt)
    classes = sorted(spelt, key=lambda name: (int(name) if are_numbers else 0, name))
    trained = {name for name, clip in named_clips if clip.splits == ("train",)}
    untrained = [name for name in classes if name not in trained]
    if untrained:
        raise AnnotationError(
            f"{where}: has classes without a clip for training: "
            f"{', '.join(untrained)}{_why_none(untrained, named_clips)}"
        )
    labels = {name: label for label, name in enumerate(classes)}
    return Annotations(
        clips=tuple(
            dataclasses.replace(clip, label=labels[name]) for name, clip in named_clips
        ),
        classes=tuple(classes),
        flip_labels=mirrored.unchanged(classes),
        warnings=(*warnings, *_doubts(where, spelt, classes, named_clips)),
    )


def _why_none(untrained: Sequence[str], named_clips: Sequence[tuple[str, Clip]]) -> str:
    """Says what to change where the hash has given all of a small class to other splits."""
    splits = {
        split
        for name, clip in named_clips
        if name in untrained
        for split in clip.splits
    }
    if not splits:
        return ""
    return (
        f", whose clips are all for {' and '.join(sorted(splits))}; name the split of "
        "some, or, where a hash draws it, give smaller --validation-share and --test-share"
    )


def _doubts(
    where: str,
    spelt: Mapping[str, set[str]],
    classes: Sequence[str],
    named_clips: Sequence[tuple[str, Clip]],
) -> Iterator[str]:
    """Lists what may be wrong with the classes and splits, a line each."""
    for name, forms in spelt.items():
        if len(forms) > 1:
            written = ", ".join(ascii(form) for form in sorted(forms))
            yield f"{where}: one class, {name!r}, is written in several ways: {written}"
    for names in look_alikes(classes):
        yield (
            f"{where}: classes that look alike are kept apart: {listed(names)}; if they "
            "are one, give them one name"
        )
    if len(classes) == 1:
        yield (
            f"{where}: has one class, {classes[0]!r}, and a network has nothing to tell "
            "apart; a folder or a label is needed for each class"
        )
    present = {split for _, clip in named_clips for split in clip.splits}
    for split in SPLITS:
        if split not in present and split != "train":
            yield (
                f"{where}: no clip is for the split {split}, of {len(named_clips)}: "
                f"name the split of some (a folder {split}/, or the column split), give "
                f"a larger --{split}-share, or train with --config.data.{split}_split="
            )


DATASET = VideoDataset(read, SPLITS)
