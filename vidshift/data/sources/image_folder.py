"""Any folder of images, a sub-folder for each class, as ImageNet is often kept."""

import dataclasses
import logging
import os
import pathlib

from vidshift.class_names import clean, listed
from vidshift.data.annotations import media, mirrored
from vidshift.data.media import images
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split

logger = logging.getLogger("vidshift.data")

SPLITS = ("train", "validation", "test")
FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "val"),
    # A test without images of its own is of the validation's.
    "test": ("test", "validation", "val"),
}


@dataclasses.dataclass(slots=True)
class ImageFolder:
    """Folders of the splits below the data's folder: `TRAIN/CLASS/FILE` and so on.

    None is the first of `FOLDERS` that is there.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FolderSource:
    """Files below a folder, read when they are decoded."""

    root: pathlib.Path
    # (path below the root, label)
    files: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Record:
        path, label = self.files[row]
        return Record(
            video=self.root / path, label=label, id=path, num_frames=1, fps=0.0
        )


def open_split(
    split: str, *, data_dir: str, options: ImageFolder | None = None
) -> Split:
    """Lists the files of a split, in the order of their names.

    Classes are the sub-folders of the training folder, in the order of their names; left
    and right in them swap in a mirror image. What begins with a dot (".ipynb_checkpoints", macOS's "._0.jpg") is passed over.

    Args:
      split: one of SPLITS.
      data_dir: the folder that holds the splits' folders.

    Raises:
      ValueError: a folder is missing or holds no image, a class of the training folder
        holds none, or a class is not among those of the training folder.
    """
    options = options or ImageFolder()
    folder, training = (
        _folder(pathlib.Path(data_dir), name, getattr(options, name))
        for name in (split, "train")
    )
    classes, own = tuple(sorted(_classes(training))), _classes(folder)
    unknown = sorted(own.keys() - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} has classes that {training} has not: {listed(unknown)}"
        )
    root = folder.parent
    found = [
        (label, path, path.lower().endswith(images.SUFFIXES))
        for label, name in enumerate(classes)
        for below in own.get(name, ())
        for path in _files(folder / below)
    ]
    files = tuple(
        (path.removeprefix(f"{root}{os.sep}"), label)
        for label, path, is_image in found
        if is_image
    )
    if split == "train":
        _report_others(folder, [path for _, path, is_image in found if not is_image])
    suffixes = ", ".join(images.SUFFIXES)
    if not files:
        raise ValueError(
            f"{folder} holds no image ({suffixes}) in its {len(classes)} class folders"
        )
    empty = set(range(len(classes))) - {label for _, label in files}
    if folder == training and empty:
        names = listed(classes[label] for label in sorted(empty))
        raise ValueError(f"{folder} has classes without an image ({suffixes}): {names}")
    return Split(
        source=FolderSource(root, files),
        classes=classes,
        flip_labels=mirrored.of_names(classes),
        decode=images.decode,
    )


def _folder(root: pathlib.Path, split: str, chosen: str | None) -> pathlib.Path:
    names = FOLDERS[split] if chosen is None else (chosen,)
    there = [root / name for name in names if (root / name).is_dir()]
    if there and there[0].name != "test" and len(there) > 1:
        raise ValueError(
            f"{' and '.join(map(str, there))} are one split: put them into one, or name "
            "the one that counts (config.data.options.validation and .test)"
        )
    if there:
        return there[0]
    raise ValueError(
        f"there is no folder {' or '.join(str(root / name) for name in names)} for the "
        f"{split} images (config.data.dir)"
    )


def _report_others(folder: pathlib.Path, paths: list[str]) -> None:
    """Counts and names what is passed over."""
    if paths:
        logger.warning(
            "%s: files passed over, which are no images by their suffix: %d (%s)",
            folder,
            len(paths),
            listed(paths),
        )


def _classes(folder: pathlib.Path) -> dict[str, list[str]]:
    """The folders of each class, whose names may be spelt in several ways."""
    found: dict[str, list[str]] = {}
    for entry in media.entries(folder):
        if media.is_folder(entry):
            found.setdefault(clean(entry.name), []).append(entry.name)
    if not found:
        raise ValueError(f"{folder} has no folders: a class of images is one")
    return found


def _files(folder: pathlib.Path) -> list[str]:
    """Paths of all files below, through links too; none where there is no folder."""

    def fail(error: OSError):
        raise error

    found = []
    walk = os.walk(folder, followlinks=True, onerror=fail) if folder.is_dir() else ()
    for parent, below, names in walk:
        media.check_loop(pathlib.Path(parent))
        below[:] = [name for name in below if not name.startswith(".")]
        found += [
            os.path.join(parent, name) for name in names if not name.startswith(".")
        ]
    return sorted(found)
