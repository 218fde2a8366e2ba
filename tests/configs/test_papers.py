"""Every row of docs/papers.md is a command that runs, in small.

`tests/support/in_small.py` says what is small. Trainings of networks without a small form
(BN-Inception, Inception-v3, MobileNetV2, SlowFast, GST, non-local blocks, numbers of GSF's
modules) are traced at their full size and not run. The networks of the rows that
docs/configs.md alone has are built by `test_configs.py`.
"""

import io
import re
import sys
from typing import NamedTuple

import jax
import numpy as np
import pytest

from tests.configs.test_configs import PAGE as CONFIGS_PAGE
from tests.configs.test_configs import ROWS
from tests.data.preparation.test_prepare import grey_video, one_process
from tests.data.test_modalities import made_up_flow
from tests.support import in_small
from tests.support.files import ROOT
from vidshift import cli
from vidshift.data.media import flow
from vidshift.data.preparation import build
from vidshift.devices import mesh
from vidshift.kernels.analysis.shapes import SHAPES
from vidshift.speed.paper_tables import TABLES

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
NOT_HERE = "not here"
# Tables and figures of each paper and its supplement.
PLACES = {
    "TSM": (range(1, 9), "1b 1c 2a 2b 3 4 5 6"),
    "VSN": (range(1, 10), "1 2 3"),
    "RubiksNet": (range(1, 6), "3 4 5 6 A1 A2 A3 A4 A5 A6 A7"),
    "A3D": (range(1, 15), "1 2 3 4 5 6 7 8"),
    "GSF": (range(1, 13), "1 2 3 4 5 6 7 8 9 10"),
}


class Row(NamedTuple):
    paper: str
    place: str
    what: str
    commands: tuple[str, ...]
    here: bool

    @property
    def name(self) -> str:
        return f"{self.paper} {self.place}: {self.what}"


def rows() -> list[Row]:
    """Returns the rows of docs/papers.md."""
    found, paper = [], ""
    for line in (ROOT / "docs" / "papers.md").read_text().splitlines():
        if line.startswith("## "):
            paper = line.split()[1]
        if not line.startswith("| ") or line.startswith("| place"):
            continue
        place, what, command, _ = (cell.strip() for cell in line[1:-1].split("|"))
        here = command != NOT_HERE
        commands = tuple(re.findall(r"`([^`]+)`", command)) if here else ()
        found.append(Row(paper, place, what, commands, here))
    return found


PAGE = rows()
OF_PAGE = list(dict.fromkeys(command for row in PAGE for command in row.commands))
OF_CONFIGS = [
    " ".join(["vidshift train", f"--config={row.config}", *map(repr, row.flags)])
    for row in ROWS
]
COMMANDS = list(dict.fromkeys(OF_PAGE + OF_CONFIGS))
# One of each command and family; all the others are exhaustive.
ALWAYS = {
    "vidshift train --config=something_v1_tsm_resnet50 --config.recipe=paper --workdir=runs/v1_tsm",
    "vidshift train --config=something_v1_vsn_resnet50 --workdir=runs/v1_vsn",
    "vidshift train --config=something_v1_gsf_resnet50 --config.recipe=paper --workdir=runs/v1_gsf",
    "vidshift train --config=something_v2_rubiksnet --workdir=runs/v2_rubiks",
    "vidshift train --config=something_v1_tsm_flow --config.recipe=paper --workdir=runs/v1_flow",
    "vidshift eval --run=runs/v1_tsm --protocol=1x1",
    "vidshift compare runs/v1_tsn runs/v1_tsm runs/v1_tsm_16 --out=figure5",
    "vidshift pictures --run=runs/v2_rubiks",
    "vidshift speed --table=tsm-6",
    "vidshift stream --run=runs/v1_online --video=clip.mp4",
}


def param(command: str):
    marks = [pytest.mark.slow]
    if command not in ALWAYS:
        marks.append(pytest.mark.exhaustive)
    return pytest.param(command, marks=marks, id=command.removeprefix("vidshift "))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, image):
    folder = tmp_path_factory.mktemp("papers")
    small = {name: small_table(table) for name, table in TABLES.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "stdin", io.StringIO())
        patch.setattr(build, "results", one_process)
        patch.setattr(flow, "pictures", made_up_flow)
        patch.setattr(flow, "check_installed", lambda: None)
        one = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), ("data",))
        patch.setattr(mesh, "make_mesh", lambda: one)
        for name, table in small.items():
            patch.setitem(TABLES, name, table)
        for name, shapes in SHAPES.items():
            patch.setitem(SHAPES, name, (small_shape(shapes[0]),))
        yield in_small.Workshop(folder, OF_PAGE, grey_video(), image)


def small_table(table):
    """A table of latency with small networks."""
    if table.kind == "blocks":
        return table
    rows = (r._replace(name=in_small.small_network(r.name)) for r in table.rows)
    return table._replace(rows=tuple(rows))


def small_shape(shape):
    """A call of an operation on a few channels of two frames."""
    channels = 8 if shape.out_channels else None
    return shape._replace(x=(1, 2, 4, 4, 8), out_channels=channels)


@pytest.mark.parametrize("command", [param(command) for command in OF_PAGE])
def test_a_command_runs_in_small(command, workshop):
    workshop.run(command)


def test_every_row_has_a_command_that_is_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(PAGE) > 130
    faults = [row.name for row in PAGE if row.here and not row.commands]
    for command in COMMANDS:
        try:
            words = in_small.words_of(command)
            cli.parse(words)
            if words[0] == "train":
                in_small.read_config(words)
        except (SystemExit, ValueError) as error:
            faults.append(f"{command}: {error} {capsys.readouterr().err}")
    assert not faults, "\n".join(faults)
    assert ALWAYS <= set(COMMANDS)


def test_every_table_and_figure_has_a_row():
    for paper, (tables, figures) in PLACES.items():
        text = "; ".join(row.place for row in PAGE if row.paper == paper)
        wanted = {"Table": {*map(str, tables)}, "Figure": set(figures.split())}
        for kind, numbers in wanted.items():
            found = set()
            for listed in re.findall(rf"{kind}s? ((?:A?\d+[abc]?(?:, | to )?)+)", text):
                for first, last in re.findall(r"(\d+) to (\d+)", listed):
                    found |= {str(n) for n in range(int(first), int(last) + 1)}
                found |= set(re.findall(r"A?\d+[abc]?", listed))
            missing = {n for n in numbers if not {n, n[:-1]} & found}
            assert not missing, f"{paper}: no {kind} {sorted(missing)}"


def test_rows_of_the_configs_page_without_a_config_are_of_others():
    """Ensembles, and sub-networks of the run above, which docs/papers.md evaluates."""
    for line in CONFIGS_PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if not re.match(r"\| \d", line) or re.fullmatch(r"`\w+`", cells[2]):
            continue
        ensemble = re.match(r"both |the row above", cells[2])
        assert ensemble or re.search(r"\d+² x \d", cells[1]), line
