"""Everything in `configs/`, their docstrings and docs/configs.md can be run."""

import functools
import json
import re
import runpy
import shutil
import sys
from typing import NamedTuple

import jax
import pytest
from flax import nnx

from tests.support import documented_commands
from tests.support.files import ROOT
from vidshift import config_file
from vidshift.adaptive.sampling import grid
from vidshift.config import check
from vidshift.cost import published
from vidshift.data.sources.datasets import DATASETS
from vidshift.description import model_arguments
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.fit import sizing
from vidshift.layers.norm import FREEZE
from vidshift.nets import create
from vidshift.nets.names import parse
from vidshift.recipes import slow
from vidshift.training import optimizer
from vidshift.training.mutual import make_sampling

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# Configs of no paper begin so.
OURS = ("tiny", "folder", "arrow_of_time")
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
every_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
ADAPTIVE = [path for path in CONFIGS if "a3d(" in path.read_text()]
PAGE = (ROOT / "docs" / "configs.md").read_text()
CLASSES = sizing.known_classes() | {"folder": 2}  # a user's folder has any number


def flags_in(text: str) -> list[str]:
    """Returns each `--config.field=value` of a text, without a shell's quotes."""
    flags = re.findall(r"--config\.[\w.]+=(?:\"[^\"]*\"|[^\s`,)]+)", text)
    return [flag.rstrip(".:;").replace('"', "") for flag in flags]


def load(path):
    return runpy.run_path(path)["get_config"]()


def overridden(path, *flags):
    """Returns the config that `vidshift train` gets with these flags."""
    return config_file.read(str(path), flags)


def describe(config) -> dict:
    stack = getattr(config.data.options, "stack", 1)
    flow = getattr(config.data.options, "modality", "rgb") == "flow"
    return model_arguments(
        config, num_classes=CLASSES[config.data.name], channels=2 * stack if flow else 3
    )


@functools.cache
def _abstract(description: str) -> nnx.Module:
    return nnx.eval_shape(lambda: create(**json.loads(description)))


def abstract(config) -> nnx.Module:
    """Returns the network without values, and with two classes."""
    return _abstract(json.dumps(describe(config) | {"num_classes": 2}))


def check_names(config) -> None:
    """Refuses names that are otherwise looked up in a run."""
    data = DATASETS[config.data.name]
    splits = {config.data.train_split, config.data.validation_split}
    assert splits <= set(data.splits)
    assert config.data.test_split in (*data.splits, "")
    assert config.data.options is None or type(config.data.options) is data.options
    assert config.optim.groups in optimizer.GROUPS
    assert config.norm.freeze in FREEZE
    assert config.protocol in PROTOCOLS


@every_config
def test_a_config_has_valid_values(path):
    config = load(path)
    check(config)
    check_names(config)
    assert (config.adaptive.mode != "off") == (path in ADAPTIVE)


@every_config
def test_a_config_loads_in_any_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clone = {"", ".", str(ROOT)}
    monkeypatch.setattr(sys, "path", [at for at in sys.path if at not in clone])
    monkeypatch.delitem(sys.modules, "configs", raising=False)
    copy = shutil.copy(path, tmp_path)
    assert overridden(copy) == load(path)


def test_a_recipe_refuses_a_backbone_it_does_not_know():
    with pytest.raises(ValueError, match="must be one of .*slow_8x8_r50.*'resnet50'"):
        slow.kinetics("resnet50")


@every_config
def test_the_learning_rate_falls(path):
    config = load(path)
    steps = round(10 * config.epochs)
    lr = optimizer.schedule(
        config.optim, batch_size=config.batch_size, steps=steps, steps_per_epoch=10
    )
    first, last = jax.jit(lambda: (lr(1), lr(steps - 1)))()
    peak = optimizer.peak_learning_rate(config.optim, config.batch_size)
    assert 0 < first <= peak
    assert last < 0.1 * peak


@pytest.mark.exhaustive(but=("tiny_a3d", "kinetics_a3d_slow_8x8", "*multi_resolution"))
@pytest.mark.slow
@pytest.mark.parametrize("path", ADAPTIVE, ids=lambda path: path.stem)
def test_a_config_has_its_sub_networks(path):
    config = load(path)
    adaptive = config.adaptive
    sampling = make_sampling(config, describe(config))
    size = len(grid(adaptive.widths, adaptive.sides, adaptive.frames))
    assert 0 < len(sampling.all()) <= size


@every_config
def test_a_docstring_says_how_to_run_it(path):
    text = runpy.run_path(path)["__doc__"]
    commands = documented_commands.in_docstring(text)
    training = [argv for argv in commands if argv[0] == "train"]
    assert training
    if path.stem != "tiny":  # the default
        assert any(f"--config={path.stem}" in argv for argv in training)
    for named in re.findall(r"configs/\w+\.py", text):
        assert (ROOT / named).is_file(), named
    for flag in flags_in(text):
        check(overridden(path, flag))
    for protocol in re.findall(r"--protocol=(\S+)", text):
        assert protocol.rstrip("`,.") in PROTOCOLS
    if not path.stem.startswith((*OURS, "imagenet")):
        assert re.search(r"Not\s+measured\s+by\s+us", text)
        assert {"eval", "budgets"} & {argv[0] for argv in commands}
    for command, *rest in commands:
        if command == "prepare":
            data = load(path).data
            assert rest[0] == data.name
            assert ("--modality=flow" in rest) == (len(data.mean) == 1)


class Row(NamedTuple):
    paper: str
    config: str
    flags: tuple[str, ...]
    protocols: tuple[str, ...]

    @property
    def name(self) -> str:
        return " ".join((self.config, *self.flags))


def rows() -> list[Row]:
    """Returns the rows of docs/configs.md that name a config."""
    named, paper = [], ""
    for line in PAGE.splitlines():
        paper = line if line.startswith("## ") else paper
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("|") and re.fullmatch(r"`\w+`", cells[2]):
            names = cells[4].strip("()")
            protocols = () if names in ("", "budgets") else names.split(", ")
            flags = tuple(flags_in(cells[3]))
            named.append(Row(paper, cells[2].strip("`"), flags, tuple(protocols)))
    return named


ROWS = rows()
every_row = pytest.mark.parametrize(
    "row", {row.name: row for row in ROWS}.values(), ids=lambda row: row.name
)


@every_row
def test_rows_of_the_page_are_configs(row):
    config = overridden(ROOT / "configs" / f"{row.config}.py", *row.flags)
    check(config)
    check_names(config)


@pytest.mark.exhaustive(
    but=("*rubiksnet*", "*stack=*", "*online*", "something_v1_gsf_resnet50*")
)
@pytest.mark.slow
@every_row
def test_rows_of_the_page_are_networks(row):
    abstract(overridden(ROOT / "configs" / f"{row.config}.py", *row.flags))


def test_flags_in_the_text_of_the_page_are_fields():
    for section in re.split(r"^(?=## )", PAGE, flags=re.MULTILINE)[1:]:
        paper = section.splitlines()[0]
        configs = [row.config for row in ROWS if row.paper == paper] or ["tiny"]
        text = re.sub(r"^\|.*$", "", section, flags=re.MULTILINE)
        for flag in flags_in(text):
            check(overridden(ROOT / "configs" / f"{configs[0]}.py", flag))


def test_protocols_of_the_page_exist():
    named = {name for row in ROWS for name in row.protocols}
    assert named <= PROTOCOLS.keys()


def test_no_two_rows_of_a_paper_are_the_same():
    assert len(ROWS) == len({*ROWS}) > 100


def test_the_page_has_every_experiment():
    others = {path.stem for path in CONFIGS if path.stem.startswith(OURS)}
    others |= {"imagenet_rubiksnet", "kinetics_rubiksnet"}
    others |= {"something_v1_rubiksnet_aq"}  # the paper has no figure for it
    assert {row.config for row in ROWS} == {path.stem for path in CONFIGS} - others


# Options that a network has without being given them.
DEFAULTS = {"resnet50/gsf": {"ratio": 0.25, "place": "conv3", "modules": 16}}


def network(config) -> tuple:
    """Returns all that the cost of a config's network depends on, but its classes."""
    described = describe(config)
    own = {"backbone", "temporal", "num_classes", "num_frames", "dtype", "in_channels"}
    own |= {"dropout", "time_init", "attention_init", "head_size"}
    name = f"{described['backbone']}/{described['temporal']}"
    options = {k: v for k, v in described.items() if k not in own}
    sizes = described["num_frames"], config.data.crop, described.get("in_channels", 3)
    return name, *sizes, options


def test_networks_whose_cost_is_printed_are_those_of_the_page():
    """`tests/cost/test_cost.py` holds the counts against the papers'."""
    ours = [
        network(overridden(ROOT / "configs" / f"{row.config}.py", *row.flags))
        for row in {row.name: row for row in ROWS}.values()
    ]
    for row in published.ROWS:
        if not row.source.startswith(("TSM", "VSN", "GSF")):
            continue
        for part in row.parts():
            named = parse(part.network)
            name = f"{named.backbone}/{named.temporal}"
            given = DEFAULTS.get(name, {})
            options = {k: v for k, v in named.options.items() if given.get(k) != v}
            sizes = part.frames, row.side, part.in_channels
            assert (name, *sizes, options) in ours, (row.source, part)
