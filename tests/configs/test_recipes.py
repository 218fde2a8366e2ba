"""Values of a paper and of its official code, chosen by `--config.recipe`."""

import dataclasses
import fnmatch
import re

import pytest

from tests.support.files import ROOT
from vidshift import config_file, differences
from vidshift.command_line import config_files
from vidshift.config import check
from vidshift.data import Split
from vidshift.description import Description
from vidshift.recipes import gsf, tsm
from vidshift.training.resume import changed_fields

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def read(name, *fields):
    return config_file.read(name, [f"--config.{field}" for field in fields])


def values(config) -> dict:
    """Returns all fields but the name of the recipe and what another one has."""
    return dataclasses.asdict(dataclasses.replace(config, recipe="", differences=()))


def test_a_recipe_has_all_its_values():
    paper = read("ucf101_tsm_resnet50", "recipe=paper")
    assert paper.recipe == "paper" and paper.norm.freeze == "all"
    assert (paper.epochs, paper.optim.step_epochs) == (50, (20.0, 40.0))
    assert (paper.optim.lr, paper.optim.weight_decay) == (0.01, 1e-4)
    code = read("ucf101_tsm_resnet50")
    assert code.recipe == "code"
    changed = changed_fields(values(paper), values(code))
    fields = {row.field for row in tsm.FINETUNING}
    assert {line.partition(":")[0] for line in changed} == fields
    assert values(read("ucf101_tsm_resnet50", "recipe=code")) == values(code)


def test_the_papers_kinetics_is_the_dense_one():
    paper = read("kinetics_tsm_resnet50", "recipe=paper")
    assert values(paper) == values(read("kinetics_tsm_resnet50_dense"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_field_that_is_given_comes_first(order):
    # Also where it is the other recipe's value.
    fields = ("recipe=paper", "optim.lr=0.001", "epochs=7")[::order]
    config = read("ucf101_tsm_resnet50", *fields)
    assert (config.optim.lr, config.epochs, config.model.dropout) == (0.001, 7, 0.5)
    first, *rows = differences.lines(config)
    assert first == "recipe=paper, and what --config.recipe=code has:"
    assert rows[0].startswith("  epochs=7.0 (set for this run); code: 25 (scripts/")
    assert rows[3] == (
        "  model.dropout=0.5 (section 5.1); code: 0.8 "
        "(scripts/finetune_tsm_ucf101_rgb_8f.sh)"
    )


def test_a_field_of_the_configs_own_stays():
    config = tsm.finetune("ucf101")
    config.model.dropout = 0.3
    differences.choose(config, "paper")
    assert (config.model.dropout, config.epochs) == (0.3, 50)


def test_the_last_recipe_that_is_given_holds():
    config = read("something_v1_gsf_resnet50", "recipe=paper", "recipe=code")
    assert (config.recipe, config.optim.weight_decay) == ("code", 5e-4)


def test_epic_kitchens_is_augmented_in_both():
    config = gsf.train("epic_kitchens100")
    differences.choose(config, "paper")
    assert (config.data.augment.rand_ops, config.optim.weight_decay) == (2, 1e-4)


@pytest.mark.parametrize(
    "name, recipe, said",
    [
        ("kinetics_vsn_resnet50", "paper", ""),
        ("kinetics_vsn_resnet50", "code", "no other recipe, and its values are the pa"),
        ("tiny", "code", "no other recipe, and its values are those of its docstring"),
    ],
)
def test_a_config_of_one_recipe_keeps_it(name, recipe, said, capsys):
    config = read(name, f"recipe={recipe}")
    assert said in capsys.readouterr().err
    assert config == read(name) and differences.lines(config) == []


def test_a_misspelt_recipe_is_refused():
    with pytest.raises(ValueError, match=r"config.recipe must be .*'papre' \(did you"):
        read("tiny", "recipe=papre")
    config = tsm.kinetics()
    config.recipe = "ours"
    with pytest.raises(ValueError, match="config.recipe must be one of"):
        check(config)


def test_a_run_knows_its_recipe_alone():
    config = read("ucf101_tsm_resnet50")
    stored = Description.of(config, Split([], ("a", "b")))
    read_again = Description.from_json(stored.to_json(), "a run")
    assert read_again.to_json() == stored.to_json()
    assert (read_again.config.recipe, read_again.config.differences) == ("code", ())
    config = read("ucf101_tsm_resnet50", "recipe=paper")
    wanted = Description.of(config, Split([], ("a", "b")))
    told = changed_fields(stored.to_json()["config"], wanted.to_json()["config"])
    assert "recipe: 'code' -> 'paper'" in told and len(told) == 7


def documented() -> dict:
    """Returns (config, field) -> values of paper and code, of docs/configs.md."""
    page = (ROOT / "docs" / "configs.md").read_text()
    section = page.partition("## A paper's values")[2].partition("\n## ")[0]
    found, patterns, names = {}, [], config_files.names()
    for line in section.splitlines():
        if not line.startswith("| ") or line.startswith("| config"):
            continue
        configs, fields, paper, _, code, _ = line.strip("| ").split(" | ")
        words = re.findall(r"`(\S+)`", configs)
        if configs.startswith("the same, but"):
            but, words = words, patterns
        else:
            but, patterns = [], words or patterns
            words = patterns
        for name in names:
            if any(fnmatch.fnmatch(name, w) for w in words) and not any(
                fnmatch.fnmatch(name, w) for w in but
            ):
                for field in re.findall(r"`(\S+)`", fields):
                    found[name, field] = value_of(paper), value_of(code)
    return found


def value_of(text: str):
    if re.fullmatch(r"[\d., e-]+", text):
        values = tuple(float(part) for part in text.split(","))
        return values if len(values) > 1 else values[0]
    return text


def test_the_page_has_every_difference():
    declared = {
        (name, row.field): (row.paper, row.code)
        for name in config_files.names()
        for row in read(name).differences
    }
    assert documented() == declared
