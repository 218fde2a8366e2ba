"""A RubiksNet with attention as a user trains, evaluates, loads and compares it."""

import contextlib
import io
import json
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.support.commands import TINY, finish, of_kind, start_program
from tests.support.files import VIDEOS
from vidshift import checkpoints, cli, load, read_clip
from vidshift.nets.weights import named_arrays
from vidshift.schemes import tables, trained
from vidshift.shifts.attention import WholeShift, attention_layers, with_temperature
from vidshift.training.log import read_metrics

VIDEO = VIDEOS / "arm_wrestling.mp4"


@pytest.fixture(scope="module")
def row(tmp_path_factory, data_dir):
    """-> the folder of the table's one run; its lines; what its programs printed."""
    out = tmp_path_factory.mktemp("schemes")
    fields = TINY | {"data.dir": data_dir, "steps": 6, "log_steps": 3}
    fields |= {"data.num_frames": 4, "validate_epochs": 9}
    fields |= {"optim.attention.budget": 0.25}
    given = [f"--config.{name}={value}" for name, value in fields.items()]
    table = tables.Table(
        {"with attention": tables.Row(tables.ATTENTION)}, hardened=True
    )
    printed = []

    def run(command, *, check, **_):
        python, *program = command
        assert python == sys.executable and check
        printed.append(finish(start_program(*program))[0])
        return SimpleNamespace(stdout=printed[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tables.TABLES, "rubiksnet", table)
        patch.setattr(trained.subprocess, "run", run)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert (
                cli.run(["schemes", "--table=rubiksnet", f"--out={out}", *given]) == 0
            )
    return out / "with_attention", said.getvalue().splitlines(), printed


@pytest.fixture(scope="module")
def run(row):
    return row[0]


@pytest.mark.slow
def test_the_log_says_what_moves_and_how_warm_it_is(run):
    lines = read_metrics(run)
    steps = of_kind(lines, "train")
    wanted = 2.0 * 5e-4 ** (np.arange(6) / 5)
    np.testing.assert_allclose([x["temperature"] for x in steps], wanted, rtol=1e-5)
    assert all(0 <= x["attention_moved"] <= 1 for x in steps)
    by_layer = of_kind(lines, "shifts")
    assert [x["step"] for x in by_layer] == [3, 6]
    for line in by_layer:
        assert len(line["moved_channels"]) == 3
        whole = steps[line["step"] - 1]["moved_channels"]
        assert np.mean(line["moved_channels"]) == pytest.approx(whole, abs=1e-6)
    (test,) = of_kind(lines, "test")
    assert test["attention_channels"] == 27 + 27 + 54
    assert 0 <= test["undecided_channels"] <= 108


@pytest.mark.slow
def test_what_is_loaded_is_hardened_unless_told(run):
    hard, soft = load(run, which="last"), load(run, which="last", soft=True)
    assert attention_layers(hard) == []
    layers = [block.attention for (block,) in hard.stages]
    assert all(isinstance(layer, WholeShift) for layer in layers)
    clip = read_clip(VIDEO, run)
    answers = [
        np.asarray(jax.jit(lambda m, c: m(c))(model, clip)) for model in (hard, soft)
    ]
    # At the final temperature: 1e-3.
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-3)
    params, stats = checkpoints.read_weights(checkpoints.find(run, "last"))
    assert named_arrays(soft).keys() == (params | stats).keys()


@pytest.mark.slow
def test_channels_that_had_not_decided_are_warned_of(run, tmp_path, caplog):
    checkpoint = checkpoints.find(run, "last")
    params, stats = checkpoints.read_weights(checkpoint)
    description = checkpoints.read_description(checkpoint)
    warm = with_temperature(stats, 2.0)
    checkpoints.write_weights(tmp_path, params, warm, description)
    load(tmp_path, soft=True)
    assert not caplog.records
    load(tmp_path)
    assert "hardened, though 108 channels had not decided" in caplog.text


@pytest.mark.slow
def test_eval_scores_either_form(row):
    hard, soft = map(json.loads, row[2][2:])
    assert {"moved_channels", "undecided_channels"} <= hard.keys()
    assert "undecided_channels" not in soft
    assert hard["top1"] == soft["top1"]


@pytest.mark.slow
def test_a_row_of_the_table(row):
    heading, ruler, last = row[1][1:4]
    assert {line.count("|") for line in (heading, ruler, last)} == {9}
    cells = last.split(" | ")
    assert cells[0] == "| with attention" and cells[6].endswith(" of 108")
    assert cells[7].endswith(" of 30 |")
