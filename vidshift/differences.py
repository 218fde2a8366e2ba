"""Values in which a paper and its official code differ, and the choice between them."""

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

from vidshift.command_line.suggest import near

RECIPES = ("paper", "code")


class Difference(NamedTuple):
    """A field of a config for which a paper and its official code have two values."""

    # Dotted, such as "optim.weight_decay".
    field: str
    paper: Any
    # Section or table of the paper.
    paper_source: str
    code: Any
    # File or command of the official code.
    code_source: str

    def value(self, recipe: str) -> Any:
        """Returns the value of "paper" or "code"."""
        return self.paper if recipe == "paper" else self.code

    def source(self, recipe: str) -> str:
        """Returns where "paper" or "code" has its value."""
        return self.paper_source if recipe == "paper" else self.code_source


def check(name: str, recipe: str) -> None:
    """Refuses what is no recipe.

    Raises:
      ValueError: naming the field and the value.
    """
    if recipe not in RECIPES:
        raise ValueError(
            f"{name} must be one of {RECIPES}, got {recipe!r}{near(recipe, RECIPES)}"
        )


def choose(config, recipe: str, given: Collection[str] = ()) -> str:
    """Gives a config the values of a recipe, and returns a line if it cannot.

    A field that has neither recipe's value, as the config's file set it, stays.

    Args:
      config: changed in place; its `recipe` and `differences` say what it has.
      recipe: a name in RECIPES.
      given: fields that the command line sets, which stay.

    Returns:
      "", or what to tell a person where the config has one recipe alone.

    Raises:
      ValueError: no such recipe.
    """
    check("config.recipe", recipe)
    if not config.differences:
        if recipe == config.recipe:
            return ""
        values = f"the {config.recipe}'s" if config.recipe else "those of its docstring"
        return (
            f"--config.recipe={recipe}: this config has no other recipe, and its values "
            f"are {values}"
        )
    for row in config.differences:
        if row.field not in given and _get(config, row.field) == row.value(
            config.recipe
        ):
            owner, _, name = row.field.rpartition(".")
            setattr(_get(config, owner), name, row.value(recipe))
    config.recipe = recipe
    return ""


def lines(config) -> list[str]:
    """Returns what a run says of its recipe: each field with both values; [] of one."""
    if not config.differences:
        return []
    (other,) = set(RECIPES) - {config.recipe}
    told = [f"recipe={config.recipe}, and what --config.recipe={other} has:"]
    for row in config.differences:
        value = _get(config, row.field)
        as_chosen = value == row.value(config.recipe)
        source = row.source(config.recipe) if as_chosen else "set for this run"
        told.append(
            f"  {row.field}={value} ({source}); {other}: {row.value(other)} "
            f"({row.source(other)})"
        )
    return told


def _get(config, dotted: str) -> Any:
    parts = dotted.split(".") if dotted else []
    return functools.reduce(getattr, parts, config)
