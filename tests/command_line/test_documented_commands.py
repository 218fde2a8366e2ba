"""Every command that a document or a docstring shows is one that vidshift takes."""

import pathlib
import re

import pytest

from tests.support import documented_commands
from tests.support.files import ROOT
from vidshift import cli, config_file

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
]
PAGES += sorted((ROOT / "docs").glob("*.md"))
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
HELP = sorted((ROOT / "vidshift" / "commands").glob("[!_]*.py"))
MODULES = sorted((ROOT / "vidshift").rglob("*.py"))


def shown() -> list[tuple[pathlib.Path, list[str]]]:
    """Returns each command with the file it stands in."""
    found = [(p, documented_commands.in_page(p.read_text())) for p in PAGES]
    for path in CONFIGS + HELP:
        text = path.read_text().split('"""')[1].replace("\\\\", "\\")
        found.append((path, documented_commands.in_docstring(text)))
        assert found[-1][1], f"{path} shows no command"
    return [(path, argv) for path, commands in found for argv in commands]


def unknown(name: str, words: list[str]) -> list[str]:
    """Returns the flags that a command does not have, as they are spelt in its help."""
    known = cli.parser_of(name)._option_string_actions
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [f for f in flags if f not in known and not f.startswith("--config.")]


# Of ml_collections.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_commands_are_taken(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_config.py").touch()
    faults = []
    for path, argv in shown():
        try:
            _, options = cli.parse(argv)
            faults += [f"{path.name}: {flag}" for flag in unknown(argv[0], argv)]
            # Fields in the configs' docstrings: tests/configs.
            if options.fields and path not in CONFIGS:
                config_file.read(options.config or "tiny", options.fields)
        except SystemExit as end:  # 0 after help
            if end.code:
                faults.append(f"{path.name}: {capsys.readouterr().err}")
        except ValueError as error:
            faults.append(f"{path.name}: {' '.join(argv)}: {error}")
    assert not faults, "\n".join(faults)


def test_flags_in_sentences_exist():
    """Those of `vidshift COMMAND --flag` in prose, error messages included."""
    faults = []
    for path in PAGES + CONFIGS + MODULES:
        text = path.read_text()
        for name, rest in re.findall(r"`vidshift ([a-z]\w*)([^`\"]*)", text):
            if name in cli.COMMANDS:
                faults += [
                    f"{path.name}: {flag}" for flag in unknown(name, rest.split())
                ]
            elif name != "completion":
                faults.append(f"{path.name}: there is no command {name}")
    assert not faults, "\n".join(faults)


def test_a_first_sentence_fits_into_the_list_of_commands():
    firsts = [cli.module_of(name).__doc__.splitlines()[0] for name in cli.COMMANDS]
    assert not [first for first in firsts if len(first) > 75 or first[-1] != "."]
