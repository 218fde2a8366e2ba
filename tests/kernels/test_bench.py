import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.commands import ROOT, environment
from vidshift import cli
from vidshift.kernels import bench
from vidshift.kernels.analysis import cases, timing, traces
from vidshift.kernels.analysis.shapes import SHAPES, Shape

SMALL = Shape("small", (2, 8, 6, 6, 24), {"stride": (1, 1, 1), "max_shift": (1.0,) * 3})


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "kernels.bench", "--seconds=0.01", *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | environment(),  # one CPU device: eight share its threads
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_rows_and_a_trace_read_back(tmp_path):
    out = run("--op=temporal_shift", "--shape=tsm_7", "--json", f"--trace={tmp_path}")
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(line["platform"] == "cpu" and line["jax"] for line in lines)
    rows = {(r["implementation"], r["direction"]): r for r in lines if "trace" not in r}
    for direction in ("forward", "backward"):
        row = rows["xla", direction]
        assert row["error"] == 0 and row["over_xla"] == 1
        low, high = row["seconds_quartiles"]
        assert 0 < low <= row["seconds"] <= high
        assert row["bytes_per_second"] == pytest.approx(
            2 * 16 * 8 * 7 * 7 * 2048 * 2 / row["seconds"]
        )
        assert rows["pallas_tpu", direction]["not_here"].startswith("pallas_tpu: ")
        assert "seconds" not in rows["triton", direction]
    traced = {line["trace"]: line for line in lines if "trace" in line}
    names = {f"temporal_shift_{d}_xla" for d in ("forward", "backward")}
    assert set(traced) == names
    assert all(t["seconds"] > 0 and t["operations"] >= 3 for t in traced.values())
    # Read in this process; recorded in one that has not loaded a TPU's library.
    found = traces.operations(tmp_path)
    assert found[-1].kind == traces.GAPS
    # None of the host's own events, and the programs that draw the inputs besides.
    assert names < {row.program for row in found[:-1]}
    assert all(row.program for row in found[:-1])


@pytest.mark.slow
def test_prints_tables(tmp_path):
    out = run("--op=shift3d", "--shape=rubiks_7", f"--trace={tmp_path}")
    assert "shift3d xla backward" in out
    assert "pallas_tpu: needs a TPU" in out
    assert "triton: needs an NVIDIA GPU" in out
    table = out.split("read back from the trace")[1]
    assert "shift3d_forward_xla" in table and "shift3d_backward_xla" in table


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        ("shift3d", SMALL),
        ("temporal_shift_conv", SMALL._replace(options={"fold": 3}, out_channels=5)),
    ],
)
def test_error_is_that_of_the_implementation(op, shape):
    # In the order that a TPU would have them in, where there is one.
    case = cases.Case(op, "xla", "backward", shape, "float32").on("tpu")
    arrays = bench.inputs(case)
    wanted = bench.reference(case, arrays)
    assert all(r.dtype == np.float64 for r in wanted)
    results = jax.jit(case.function())(*arrays)
    assert bench.largest_error(case, results, wanted) < 1e-5
    wrong = jax.tree.map(lambda r: r * 1.01, results)
    assert bench.largest_error(case, wrong, wanted) == pytest.approx(0.01, rel=0.1)


def test_bfloat16_rounds_the_inputs_of_both():
    case = cases.Case("shift3d", "xla", "forward", SMALL, "bfloat16")
    arrays = bench.inputs(case)
    results = jax.jit(case.function())(*arrays)
    # Half a step of bfloat16, 2**-9, at the largest value.
    assert bench.largest_error(case, results, bench.reference(case, arrays)) < 2**-8


def test_shifts_fill_the_range():
    wide = next(s for s in SHAPES["shift3d"] if s.name == "rubiks_28_wide")
    case = cases.Case("shift3d", "xla", "forward", wide._replace(x=SMALL.x), "float32")
    shift = np.abs(np.asarray(bench.inputs(case)[1]))
    assert shift.shape == (3, 24)
    assert (shift.max(1) <= [1, 3, 3]).all() and (shift.max(1) > [0.5, 1.5, 1.5]).all()


def test_a_program_of_several_calls_computes_each():
    x = jnp.arange(6.0)
    program = bench.repeated(jnp.square, (x,), 3)
    assert [r.tolist() for r in program()] == [(x**2).tolist()] * 3
    jaxpr = str(jax.make_jaxpr(program)())
    assert jaxpr.count("square") == 3


def test_times_are_of_a_call():
    x = jnp.ones(1000)
    sleeping = []

    def slow():
        sleeping.append(timing.time.sleep(0.02))
        return x

    programs = {"slow": slow, "fast": lambda: x}
    times = timing.side_by_side(programs, calls=2, seconds=0.05)
    assert 0.01 <= times["slow"].low <= times["slow"].median <= times["slow"].high < 0.1
    assert times["fast"].median < 0.01
    assert len(sleeping) == times["slow"].blocks


@pytest.mark.parametrize(
    ("platform", "implementation", "why"),
    [
        ("cpu", "pallas_tpu", "pallas_tpu: needs a TPU"),
        ("cuda", "pallas_tpu", "pallas_tpu: needs a TPU"),
        ("tpu", "triton", "triton: needs an NVIDIA GPU"),
        ("tpu", "pallas_tpu", None),
        ("cuda", "triton", None),
        ("cpu", "xla", None),
    ],
)
def test_says_where_a_row_would_run(platform, implementation, why):
    case = cases.Case("shift3d", implementation, "forward", SMALL, "float32")
    assert bench.not_here(case, platform) == why


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (["--op=shift"], "temporal_shift"),
        (["--op=temporal_shift", "--shape=rubiks_56"], "tsm_56"),
        (["--shape=rubiks_57"], "rubiks_56"),
        (["--implementation=cuda"], "triton"),
        (["--dtype=float64"], "float32"),
    ],
)
def test_wrong_names_say_the_right_ones(arguments, listed, capsys):
    assert cli.run(["bench", *arguments]) == 2
    assert listed in capsys.readouterr().err
