"""Finds the videos of a data set on disk."""

import contextlib
import os
import pathlib
import unicodedata
from collections.abc import Callable, Mapping

from vidshift.class_names import clean
from vidshift.data.annotations.clip import AnnotationError
from vidshift.data.media import images, video
from vidshift.data.media.video import VideoError

VIDEOS = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ts"),
    *(".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".m2t", ".vob", ".ogv", ".ogm"),
    *(".gif", ".3g2", ".f4v", ".asf", ".divx", ".mxf", ".qt", ".m2v", ".y4m"),
)
# Of a folder of frames; a GIF is a video.
IMAGES = tuple(suffix for suffix in images.SUFFIXES if suffix != ".gif")
# Never opened to see whether a video is in them, as FFmpeg finds pictures in texts and
# sounds; the last ones are files that are still being written.
NO_VIDEOS = (
    *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml"),
    *(".yml", ".html", ".htm", ".log", ".ini", ".cfg", ".toml", ".srt", ".vtt"),
    *(".ass", ".ssa", ".sub", ".idx", ".nfo", ".py", ".ipynb", ".sh", ".m", ".mat"),
    *(".npy", ".npz", ".pkl", ".pt", ".pth", ".h5", ".hdf5", ".parquet", ".db"),
    *(".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".rar", ".7z", ".pdf", ".doc"),
    *(".docx", ".xls", ".xlsx", ".ods", ".odt", ".ppt", ".pptx", ".m3u", ".m3u8"),
    *(".pls", ".mpd", ".ism", ".sdp", ".mp3", ".wav", ".flac", ".ogg", ".oga"),
    *(".opus", ".m4a", ".aac", ".wma", ".aiff", ".mid", ".heic", ".heif", ".avif"),
    *(".svg", ".psd", ".raw", ".dng", ".cr2", ".nef", ".arw", ".ico", ".eps", ".thm"),
    *(".lrv", ".sha256", ".md5", ".url", ".lnk", ".bak", ".part", ".crdownload"),
    *(".download", ".tmp", ".ytdl"),
)


def is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEOS


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGES


def holds_video(entry: os.DirEntry) -> bool:
    """Returns whether a file is a video; opens it if its suffix is unknown."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in VIDEOS or suffix in IMAGES or suffix in NO_VIDEOS:
        return suffix in VIDEOS
    with contextlib.closing(video.frames(entry.path)) as frames:
        try:
            return next(frames, None) is not None
        except VideoError:
            return False


def is_folder(entry: os.DirEntry) -> bool:
    """Returns whether an entry is a folder or a link to one.

    Raises:
      AnnotationError: a link that leads to itself.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        raise AnnotationError(
            f"{entry.path}: cannot be followed ({error.strerror}); remove this link"
        ) from error


def check_loop(folder: pathlib.Path) -> None:
    """Raises where a folder is a link to one that it is in, so that a walk has no end.

    Raises:
      AnnotationError: naming the link.
    """
    if folder.is_symlink() and any(
        os.path.samefile(folder, above) for above in folder.absolute().parents
    ):
        raise AnnotationError(
            f"{folder}: is a link to a folder that it is in; remove this link"
        )


def folder(source: pathlib.Path, *names: str) -> pathlib.Path:
    """Returns the first folder that exists, or else the first of all."""
    for name in names:
        if (source / name).is_dir():
            return source / name
    return source / names[0]


def by_stem(*folders: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns video files by their stems, in the folders and those right below.

    A folder is listed once, as asking for each of 240,000 files takes minutes. Of two
    files with one name the first folder's counts, and the first in a folder's order.
    """
    videos = {}
    for top in folders:
        if not top.is_dir():
            continue
        below = []
        for entry in entries(top):
            if not _keep(videos, entry) and is_folder(entry):
                below.append(entry.path)
        for path in below:
            for entry in entries(path):
                _keep(videos, entry)
    return videos


def entries(path: str | os.PathLike) -> list[os.DirEntry]:
    """Returns a folder's entries in the order of their names, without hidden ones."""
    with os.scandir(path) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(kept, key=lambda entry: entry.name)


def names_in(folder: pathlib.Path) -> dict[str, str]:
    """Returns a folder's names as they are on disk, by their spelling in a table."""
    if not folder.is_dir():
        return {}
    return {clean(name): name for name in sorted(os.listdir(folder), reverse=True)}


def on_disk(
    path: pathlib.Path, names: Callable[[pathlib.Path], Mapping[str, str]] = names_in
) -> pathlib.Path:
    """Returns a path as it is on disk, which may spell its letters another way.

    Args:
      path: as a table has it.
      names: `names_in`, or a cache of it.
    """
    if path == path.parent or os.path.lexists(path):
        return path
    parent = on_disk(path.parent, names)
    return parent / names(parent).get(clean(path.name), path.name)


def _keep(videos: dict[str, pathlib.Path], entry: os.DirEntry) -> bool:
    if not is_video(entry.name):
        return False
    stem = unicodedata.normalize("NFC", os.path.splitext(entry.name)[0])
    videos.setdefault(stem, pathlib.Path(entry.path))
    return True
