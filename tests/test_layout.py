"""The floors of docs/architecture.md: no import runs upwards."""

import ast
import pathlib
import re

import pytest

from tests.support.files import ROOT

# From the ground up, of docs/architecture.md; places on one line import nothing of each
# other.
FLOORS = [
    re.findall(r"`([\w.]+)`", line)
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines()
    if re.match(r"\d+\. `", line)
][::-1]
FLOOR = {place: floor for floor, places in enumerate(FLOORS) for place in places}
# Tables of contents: they import what they hand on when it is asked for.
LAZY = ("vidshift", "vidshift.data", "vidshift.export", "vidshift.stream")


def module_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


def imported(text: str) -> set[str]:
    """Returns the modules of ours that a file imports, at its top or in a function."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                names.add(name if is_module(name) else node.module)
    return {name for name in names if name.split(".")[0] == "vidshift"}


def place_of(module: str) -> str:
    """Returns the folder or file of the list that a module belongs to."""
    parts = module.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in FLOOR), module)


def upward(module: str, text: str) -> list[str]:
    place = place_of(module)
    return [
        f"{module} imports {name}"
        for name in sorted(imported(text))
        if place_of(name) != place
        and name not in LAZY
        and FLOOR[place_of(name)] >= FLOOR[place]
    ]


MODULES = {
    module_of(path): path.read_text()
    for path in sorted((ROOT / "vidshift").rglob("*.py"))
}


def test_no_import_runs_upwards():
    wrong = [
        line
        for module, text in MODULES.items()
        if module not in LAZY
        for line in upward(module, text)
    ]
    assert wrong == []


def test_every_folder_is_a_package():
    """setup.py leaves out a folder without `__init__.py`."""
    folders = {path.parent for path in (ROOT / "vidshift").rglob("*.py")}
    assert [f for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def test_every_module_has_a_floor():
    assert {m for m in MODULES if m not in LAZY and place_of(m) not in FLOOR} == set()


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("vidshift.nets.zoo", "from vidshift.training import state"),
        ("vidshift.data.media.video", "import vidshift.data.loading.loader"),
        ("vidshift.kernels.dispatch", "def f():\n    from vidshift import nets"),
        ("vidshift.adaptive.table", "from vidshift.torch_weights import load"),
    ],
)
def test_an_upward_import_is_found(module, text):
    assert len(upward(module, text)) == 1
