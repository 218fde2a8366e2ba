"""Every field of every config is what the paper says, or somebody is named who says it."""

import copy
import dataclasses
import fnmatch
import re
import runpy

import pytest

from tests.configs import paper_values
from tests.support.files import ROOT
from vidshift import differences
from vidshift.config import Config

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
of_a_paper = pytest.mark.parametrize(
    "path",
    [path for path in CONFIGS if path.stem not in paper_values.OURS],
    ids=lambda path: path.stem,
)


def leaves(part, prefix="") -> dict:
    """Returns the values of a config by dotted field, without those of a run."""
    found = {}
    for field in dataclasses.fields(part):
        name, value = prefix + field.name, getattr(part, field.name)
        if any(
            fnmatch.fnmatchcase(f"{name}.", f"{any_}.") for any_ in paper_values.ANY
        ):
            continue
        if dataclasses.is_dataclass(value) and name != "data.options":
            found |= leaves(value, f"{name}.")
        else:
            found[name] = value
    return found


@of_a_paper
def test_every_value_is_held_by_the_table(path):
    given = runpy.run_path(path)["get_config"]()
    held = paper_values.held(path.stem)
    recipes = differences.RECIPES if given.differences else (given.recipe,)
    for recipe in recipes:
        config = copy.deepcopy(given)
        if given.differences:
            differences.choose(config, recipe)
        values = leaves(config)
        assert values.keys() == held.keys(), (
            "fields that the table has not, or too much"
        )
        wrong = {
            name: f"{value!r}, and the table has {wanted!r} ({held[name].source})"
            for name, value in values.items()
            if value != (wanted := wanted_value(held[name], recipe))
        }
        assert not wrong, f"recipe={recipe!r}"
    declared = {row.field for row in given.differences}
    assert declared == {name for name, row in held.items() if row.code is not None}


def wanted_value(row: paper_values.Held, recipe: str):
    return row.code if recipe == "code" and row.code is not None else row.value


@of_a_paper
def test_a_papers_value_has_its_place_in_the_recipe(path):
    held = paper_values.held(path.stem)
    for row in runpy.run_path(path)["get_config"]().differences:
        source = held[row.field].source
        if row.field != "eval_batch_size":
            assert source.startswith(paper_values.PAPERS)
            place = re.match(r"(?:sections? )?([^,:]+)", row.paper_source)[1]
            assert place in source


def test_no_field_of_a_run_is_a_recipes():
    names = leaves(Config()).keys()
    assert {"optim.lr", "data.options", "data.augment.rand_ops", "steps"} <= names
    assert not any(name.startswith(("profile", "distributed")) for name in names)


def test_every_row_of_the_table_is_of_a_config():
    stems = [path.stem for path in CONFIGS]
    for pattern, _ in paper_values.TABLE:
        assert fnmatch.filter(stems, pattern), pattern
