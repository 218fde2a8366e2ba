"""Any folder of images, a sub-folder for each class, as ImageNet is often kept."""

import dataclasses
import pathlib

from vidshift.data import images
from vidshift.data.split import Record, Split

SPLITS = ("train", "validation", "test")
FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "val"),
    # A test without images of its own is of the validation's.
    "test": ("test", "validation", "val"),
}


@dataclasses.dataclass(slots=True)
class ImageFolder:
    """Where the splits lie below the data's folder: `TRAIN/CLASS/FILE` and so on.

    None is the first of `FOLDERS` that is there.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FolderSource:
    """Files below a folder, read when they are asked for."""

    root: pathlib.Path
    # (path below the root, label)
    files: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Record:
        path, label = self.files[row]
        try:
            content = (self.root / path).read_bytes()
        except OSError:
            content = b""  # an image that cannot be decoded: counted and replaced
        return Record(video=content, label=label, id=path, num_frames=1, fps=0.0)


def open_split(
    split: str, *, data_dir: str, options: ImageFolder | None = None
) -> Split:
    """Lists the files of a split, in the order of their names.

    Classes are the sub-folders of the training folder, in the order of their names.

    Args:
      split: one of SPLITS.
      data_dir: the folder that holds the splits' folders.

    Raises:
      ValueError: a folder is missing or holds no image, or a class is not among those
        of the training folder.
    """
    options = options or ImageFolder()
    folder, training = (
        _folder(pathlib.Path(data_dir), name, getattr(options, name))
        for name in (split, "train")
    )
    classes = _classes(training)
    unknown = sorted(set(_classes(folder)) - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} has classes that {training} has not: "
            f"{', '.join(unknown[:8])}{', ...' * (len(unknown) > 8)}"
        )
    files = tuple(
        (f"{folder.name}/{path.relative_to(folder).as_posix()}", label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in images.SUFFIXES
    )
    if not files:
        raise ValueError(
            f"{folder} holds no image ({', '.join(images.SUFFIXES)}) in its "
            f"{len(classes)} class folders"
        )
    return Split(
        source=FolderSource(folder.parent, files),
        classes=classes,
        flip_labels=tuple(range(len(classes))),
        decode=images.decode,
    )


def _folder(root: pathlib.Path, split: str, chosen: str | None) -> pathlib.Path:
    names = FOLDERS[split] if chosen is None else (chosen,)
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise ValueError(
        f"there is no folder {' or '.join(str(root / name) for name in names)} for the "
        f"{split} images (config.data.dir)"
    )


def _classes(folder: pathlib.Path) -> tuple[str, ...]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not names:
        raise ValueError(f"{folder} has no folders: a class of images is one")
    return tuple(names)
