"""What a release states in several files is the same in all of them."""

import re
import tomllib

import yaml

import vidshift
from tests.support.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_one_version_in_every_file():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[?([\d.]+)", changelog, re.MULTILINE)[1]
    assert newest == CITATION["version"] == vidshift.__version__


def test_a_citation_has_what_the_format_requires():
    assert {"cff-version", "message", "title", "authors"} <= CITATION.keys()
    assert CITATION["license"] == PROJECT["license"]
    assert len(CITATION["references"]) == 5
    for work in (CITATION, *CITATION["references"]):
        assert work["title"] and work["type"]
        for author in work["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})
