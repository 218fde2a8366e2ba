import contextlib
import io
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidshift
from tests.support.commands import ROOT, environment
from vidshift import cli
from vidshift.speed import comparison, step_programs
from vidshift.speed import program as command

SMALL = (
    "--side=32",
    "--num-frames=2",
    "--batch=2",
    "--train-batch=3",
    "--seconds=0.01",
)
BATCHES = {"latency": 1, "throughput": 2}


def run(*arguments):
    """-> what the command prints, in this process: imports take longer than it does."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.run(["speed", *arguments, *SMALL]) == 0
    return out.getvalue()


def check(row, temporal, measure, batch):
    """A row of the tiny network, in which all is as it should be."""
    assert row["name"] == f"resnet_tiny/{temporal}"
    assert (row["backbone"], row["temporal"]) == ("resnet_tiny", temporal)
    assert (row["measure"], row["batch"], row["options"]) == (measure, batch, {})
    assert (row["side"], row["error"]) == (32, None)
    low, high = row["seconds_quartiles"]
    assert 0 < low <= row["seconds"] <= high and row["blocks"] >= 3
    assert row["clips_per_second"] == pytest.approx(batch / row["seconds"])
    assert row["compile_seconds"] > 0 and row["program_bytes"] > 0
    assert (row["device"], row["platform"]) == ("cpu", "cpu")
    assert row["jax"] == jax.__version__
    assert row["device_peak_bytes"] is None  # the CPU does not count


@pytest.mark.slow
def test_the_whole_command_as_a_process():
    arguments = ("resnet_tiny/tsm", *SMALL, "--dtype=bfloat16", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "vidshift.speed", *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = iter(map(json.loads, done.stdout.splitlines()))
    for measure, batch in (BATCHES | {"train": 3}).items():
        tsn, tsm = next(rows), next(rows)
        for temporal, row in (("tsn", tsn), ("tsm", tsm)):
            check(row, temporal, measure, batch)
            assert (row["dtype"], row["frames"]) == ("bfloat16", 2)
        assert tsn["times_tsn"] == 1
        assert tsm["times_tsn"] == pytest.approx(tsm["seconds"] / tsn["seconds"])
    assert not list(rows)


def pretend(monkeypatch, *, too_large=()):
    """Programs that compute nothing; the largest of them do not fit."""

    def compiled(model, measure, clips):
        if (measure, clips.dtype.name) in too_large:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 80 GB")
        return lambda: clips, {"compile_seconds": 1.5, "program_bytes": 5e6}

    monkeypatch.setattr(step_programs, "compiled", compiled)


@pytest.mark.slow
def test_a_table_for_each_type_of_number(monkeypatch):
    pretend(monkeypatch, too_large={("throughput", "float32")})
    header, *blocks = run("resnet_tiny/tsm").split("\n\n")
    assert header == f"cpu (cpu), jax {jax.__version__}; 2 frames of 32 x 32"
    assert [block.splitlines()[0] for block in blocks] == ["float32", "bfloat16"]
    for block in blocks:
        dtype, heading, *lines = block.splitlines()
        assert heading == command.HEADING
        lines = [line.split() for line in lines]
        assert [line[:3] for line in lines] == [
            [f"resnet_tiny/{temporal}", measure, str(batch)]
            for measure, batch in (BATCHES | {"train": 3}).items()
            for temporal in ("tsn", "tsm")
        ]
        if dtype == "float32":  # and what comes after it is timed
            assert lines[2][3:] == lines[3][3:] == ["out", "of", "memory"]
            del lines[2:4]
        for line in lines:
            assert float(line[3]) >= 0 and float(line[5]) > 0
            assert line[7:] == ["5", "1.5"]
        assert all(line[6] == "1.000" for line in lines[::2])


def test_tsn_that_does_not_fit_leaves_no_ratio(monkeypatch):
    pretend(monkeypatch)
    fits = step_programs.compiled

    def compiled(model, *rest):
        pretended.append(model)
        if len(pretended) == 1:
            raise jax.errors.JaxRuntimeError("CUDA: out of memory")
        return fits(model, *rest)

    pretended = []
    monkeypatch.setattr(step_programs, "compiled", compiled)
    (group,) = comparison.beside_tsn(["resnet_tiny/tsm"])
    tsn, tsm = comparison.measure_group(
        group, "train", (1, 2, 8, 8, 3), "float32", 0.01
    )
    assert tsn["error"] == "out of memory" and tsn["seconds"] is None
    assert tsm["error"] is None and tsm["seconds"] > 0 and tsm["times_tsn"] is None
    assert command._line(tsm).split()[-3:] == ["-", "5", "1.5"]


def test_a_row_that_does_not_fit_says_so():
    group = comparison.networks("resnet_tiny/tsn")
    shape = (10**9, 8, 32, 32, 3)
    (row,) = comparison.measure_group(group, "throughput", shape, "float32", 0.01)
    assert row["error"] == "out of memory" and row["batch"] == 10**9
    assert row["seconds"] is row["times_tsn"] is row["program_bytes"] is None


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        comparison.out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: a bug"))


@pytest.mark.slow
def test_training_goes_on_from_the_last_state():
    (network,) = comparison.networks("resnet_tiny/tsm")
    model = comparison.model_of(network, dtype="float32", frames=2)
    clips = jax.random.normal(jax.random.key(0), (2, 2, 32, 32, 3))
    program, facts = step_programs.compiled(model, "train", clips)
    assert int(program.state.step) == 2  # the calls before anything is timed
    losses = [float(program()["loss"]) for _ in range(2)]
    assert int(program.state.step) == 4
    assert np.isfinite(losses).all() and losses[0] != losses[1]
    # The weights and the momentum of each, counted once: results take their place.
    least = 2 * sum(a.nbytes for a in program.state.params.values()) + clips.nbytes
    working = program.step.memory_analysis().temp_size_in_bytes
    assert working > 0 and least < facts["program_bytes"] - working < 1.1 * least


@pytest.mark.slow
def test_features_neither_vanish_nor_grow():
    """On random weights; and the shift is there."""
    clips = jax.random.normal(jax.random.key(0), (2, 4, 32, 32, 3), jnp.bfloat16)
    logits = {}
    for temporal in ("tsn", "tsm"):
        network = comparison.Network("resnet_tiny", temporal, {})
        model = comparison.model_of(network, dtype="bfloat16", frames=4)
        program, _ = step_programs.compiled(model, "throughput", clips)
        logits[temporal] = program()
    assert logits["tsn"].shape == (2, comparison.CLASSES)
    spread = float(jnp.std(logits["tsn"]))
    assert 0.1 < spread < 10
    assert float(jnp.abs(logits["tsn"] - logits["tsm"]).max()) > 0.05 * spread


# All but one of bottlenecks.
OF_RESNET18 = [scheme for scheme in vidshift.SCHEMES if scheme != "gst"]


def test_names():
    (network,) = comparison.networks(
        "resnet18/tsm:placement=block,fold_div=4,causal=true"
    )
    assert network.options == {"placement": "block", "fold_div": 4, "causal": True}
    assert comparison.networks(network.name) != [] and "fold_div=4" in network.name
    every = comparison.networks("resnet18")
    assert [n.temporal for n in every] == OF_RESNET18


def test_a_backbone_is_beside_its_own_tsn():
    groups = comparison.beside_tsn(
        [
            "resnet18/tsm",
            "resnet34/tsm",
            "resnet18",
            "resnet18/tsm:fold_div=4",
            "resnet18/tsm:dropout=0.1,fold_div=4",
        ]
    )
    assert [[n.name for n in group] for group in groups] == [
        [*(f"resnet18/{t}" for t in OF_RESNET18), "resnet18/tsm:fold_div=4"],
        ["resnet34/tsn", "resnet34/tsm"],
        ["resnet18/tsn:dropout=0.1", "resnet18/tsm:dropout=0.1,fold_div=4"],
    ]


def test_the_papers_networks_exist():
    for name in comparison.IN_TABLES:
        assert comparison.beside_tsn([name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet_tny/tsm", "did you mean 'resnet_tiny'?); one of: resnet_tiny,"),
        ("resnet_tiny/tsx", "one of: tsn, tsm"),
        ("resnet_tiny/", "one of: tsn, tsm"),
        ("resnet_tiny/tsm:placment=block", "non_local, placement"),
        ("resnet_tiny/tsm:causal", "key=value, got 'causal'"),
        ("resnet_tiny/tsm:dtype=float32", "dtype is none of a network's own options"),
    ],
)
def test_a_wrong_name_is_one_line_with_the_right_ones(name, said, capsys):
    assert cli.run(["speed", name]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    assert err.startswith("vidshift speed: error: ") and said in err


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--batch=0", "--batch: at least 1, got 0"),
        ("--side=x", "--side: invalid whole number value: 'x'"),
        ("--seconds=inf", "--seconds: more than 0, got inf"),
        ("--seconds=1e-320", "--seconds: more than 0, got 1e-320"),
        ("--dtype=float16", "'bfloat16', 'both'"),
    ],
)
def test_wrong_numbers(argument, said, capsys):
    with pytest.raises(SystemExit) as error:
        cli.run(["speed", "resnet_tiny/tsm", argument])
    assert error.value.code == 2
    assert said in capsys.readouterr().err
