"""Configs by name: the files of `configs/`."""

import pathlib

from vidshift.command_line.suggest import near

PACKAGE = pathlib.Path(__file__).parents[1]


def folder() -> pathlib.Path:
    """Returns the folder of the configs: in the package, or beside it in a clone."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def names() -> list[str]:
    return sorted(path.stem for path in folder().glob("*.py"))


def find(name: str) -> pathlib.Path:
    """Returns the file of a config.

    Args:
      name: of a file in `configs/`, without `.py`; or the path of a file.

    Raises:
      ValueError: there is neither.
    """
    if not name:
        raise ValueError("a config's name is needed, or a file")
    path = pathlib.Path(name).expanduser()
    if path.suffix != ".py" and path.name == name:
        if name in names():
            return folder() / f"{name}.py"
        raise ValueError(
            f"{name}: there is no config of that name{near(name, names())}; "
            f"a file of your own ends in .py, vidshift's are in {folder()}"
        )
    if path.is_file():
        return path
    known = (
        f"; --config={path.stem} is one of vidshift's" if path.stem in names() else ""
    )
    raise ValueError(f"{path}: no such file{known}")
