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
    and right in them swap in a mirror image. Names that begin with a dot
    (".ipynb_checkpoints", macOS's "._0.jpg") are passed over.

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
    classes, folders = tuple(sorted(_classes(training))), _classes(folder)
    unknown = sorted(folders.keys() - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} has classes that {training} has not: {listed(unknown)}"
        )
    root = folder.parent
    files, others = [], []
    for label, name in enumerate(classes):
        for below in folders.get(name, ()):
            for path in _files(folder / below):
                if path.lower().endswith(images.SUFFIXES):
                    files.append((path.removeprefix(f"{root}{os.sep}"), label))
                else:
                    others.append(path)
    if split == "train" and others:
        logger.warning(
            "%s: files passed over, which are no images by their suffix: %d (%s)",
            folder,
            len(others),
            listed(others),
        )
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
        source=FolderSource(root, tuple(files)),
        classes=classes,
        flip_labels=mirrored.of_names(classes),
        decode=images.decode,
    )


def _folder(root: pathlib.Path, split: str, chosen: str | None) -> pathlib.Path:
    names = FOLDERS[split] if chosen is None else (chosen,)
    present = [root / name for name in names if (root / name).is_dir()]
    if len(present) > 1 and present[0].name != "test":
        raise ValueError(
            f"{' and '.join(map(str, present))} are one split: put them into one, or "
            "name the one that counts (config.data.options.validation and .test)"
        )
    if present:
        return present[0]
    raise ValueError(
        f"there is no folder {' or '.join(str(root / name) for name in names)} for the "
        f"{split} images (config.data.dir)"
    )


def _classes(folder: pathlib.Path) -> dict[str, list[str]]:
    """Returns the folders of each class, whose names may be spelt in several ways."""
    folders: dict[str, list[str]] = {}
    for entry in media.entries(folder):
        if media.is_folder(entry):
            folders.setdefault(clean(entry.name), []).append(entry.name)
    if not folders:
        raise ValueError(f"{folder} has no folders: a class of images is one")
    return folders


def _files(folder: pathlib.Path) -> list[str]:
    """Returns the paths of all files below a folder, through links too."""

    def fail(error: OSError):
        raise error

    paths = []
    walk = os.walk(folder, followlinks=True, onerror=fail) if folder.is_dir() else ()
    for parent, below, names in walk:
        media.check_loop(pathlib.Path(parent))
        below[:] = [name for name in below if not name.startswith(".")]
        paths += [
            os.path.join(parent, name) for name in names if not name.startswith(".")
        ]
    return sorted(paths)
