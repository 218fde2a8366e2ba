"""Where the videos of a data set lie."""

import os
import pathlib

VIDEOS = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ts"),
    *(".wmv", ".flv", ".3gp"),
)
IMAGES = (".jpg", ".jpeg", ".png")


def is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEOS


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGES


def folder(source: pathlib.Path, *names: str) -> pathlib.Path:
    """The first of the folders that is there; where none is, the first of all."""
    for name in names:
        if (source / name).is_dir():
            return source / name
    return source / names[0]


def by_stem(*folders: pathlib.Path) -> dict[str, pathlib.Path]:
    """Video files by their names less the suffix, in the folders and those right below.

    A folder is listed once, as asking for each of 240,000 files takes minutes. Of two
    files with one name the first folder's counts, and the first in a folder's order.
    """
    found = {}
    for top in folders:
        if not top.is_dir():
            continue
        below = []
        for entry in entries(top):
            if not _keep(found, entry) and entry.is_dir():
                below.append(entry.path)
        for path in below:
            for entry in entries(path):
                _keep(found, entry)
    return found


def entries(path: str | os.PathLike) -> list[os.DirEntry]:
    """What a folder holds, in the order of the names; hidden files are passed over."""
    with os.scandir(path) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(kept, key=lambda entry: entry.name)


def _keep(found: dict[str, pathlib.Path], entry: os.DirEntry) -> bool:
    if not is_video(entry.name):
        return False
    found.setdefault(os.path.splitext(entry.name)[0], pathlib.Path(entry.path))
    return True
