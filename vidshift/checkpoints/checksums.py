"""SHA-256 sums of a checkpoint's files, in the form that `sha256sum --check` reads."""

import hashlib
import pathlib
import re
import shutil
from collections.abc import Iterator

FILE = "SHA256SUMS"

# Orbax writes these times to a checkpoint's folder after everything else.
_TIMES = ("_CHECKPOINT_METADATA", "commit_success.txt")


def write(folder: pathlib.Path) -> None:
    """Writes the sum of every file below `folder`; call it when all are complete."""
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in _names(folder)]
    unfinished = folder / f".{FILE}"
    unfinished.write_text("".join(lines))
    unfinished.replace(folder / FILE)


def damage(
    folder: pathlib.Path, item: str | None = None, *, but: str | None = None
) -> str | None:
    """Compares files with the sums that were written when they were complete.

    Args:
      folder: a checkpoint.
      item: one of its folders; None compares every file.
      but: a folder that is left out.

    Returns:
      The first damaged file and what is wrong with it; None if all are whole.
    """
    try:
        sums = _read(folder / FILE)
    except FileNotFoundError:
        return f"{FILE} is missing, which is written last: the save was not completed"
    except (ValueError, OSError) as error:
        return f"{FILE} is damaged: {error}"

    def of_item(names):
        return {
            n
            for n in names
            if n.split("/")[0] != but and item in (None, n.split("/")[0])
        }

    stored, listed = of_item(_names(folder)), of_item(sums)
    if stored - listed:
        return f"{FILE} is damaged: it has no line for {min(stored - listed)}"
    for name in sorted(listed):
        if name not in stored:
            return f"{name} is missing"
        if _sha256(folder / name) != sums[name]:
            return f"{name} is not what was saved: its SHA-256 differs"
    return None


def digest(folder: pathlib.Path, item: str) -> str:
    """Returns one SHA-256 sum of an item's files, from the sums that were written."""
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    own = [line for line in lines if f"  {item}/".encode() in line]
    return hashlib.sha256(b"".join(own)).hexdigest()


def remove(folder: pathlib.Path, item: str) -> None:
    """Removes a checkpoint's item, files and sums."""
    shutil.rmtree(folder / item, ignore_errors=True)
    sums = folder / FILE
    lines = sums.read_bytes().splitlines(keepends=True)
    unfinished = folder / f".{FILE}"
    unfinished.write_bytes(b"".join(x for x in lines if f"  {item}/".encode() not in x))
    unfinished.replace(sums)


def _names(folder: pathlib.Path) -> Iterator[str]:
    """Yields relative paths of the files below a folder, without hidden ones."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        hidden = file.name.startswith(".")
        if file.is_file() and not hidden and name not in (FILE, *_TIMES):
            yield name


def _read(file: pathlib.Path) -> dict[str, str]:
    sums = {}
    for number, line in enumerate(file.read_bytes().split(b"\n")[:-1], start=1):
        match = re.fullmatch(rb"([0-9a-f]{64})  ([!-~]+)", line)
        if not match:
            raise ValueError(f"line {number} is not a SHA-256 sum and a file's name")
        sums[match[2].decode()] = match[1].decode()
    return sums


def _sha256(file: pathlib.Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
