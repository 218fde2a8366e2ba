"""`vidshift speed --table`: the papers' rows, our times beside them."""

import json

import jax
import numpy as np
import pytest

from vidshift import cli, export
from vidshift.cost import count
from vidshift.cost.rubiks_blocks import BLOCKS, CONV_2D, RUBIKS
from vidshift.export import Exported
from vidshift.nets.names import parse
from vidshift.speed import paper_lines, paper_rows, step_programs
from vidshift.speed.paper_tables import (
    TABLES,
    PaperRow,
    PaperTable,
    base_of,
    printed_ratio,
)


def every_row():
    return [(table, row) for table in TABLES.values() for row in table.rows]


def test_every_network_of_the_tables_exists():
    names = {row.name for table, row in every_row() if table.kind != "blocks"}
    for name in sorted(names):
        network = parse(name)
        if network.backbone.startswith("rubiksnet"):
            continue
        if network.temporal not in ("gst", "i3d"):  # which want bottlenecks
            network = network._replace(backbone="resnet_tiny")
        network.abstract(num_classes=2, num_frames=8)
    for table, row in every_row():
        assert table.kind != "blocks" or row.name in BLOCKS


def test_ratios_of_what_is_printed():
    ratios = {
        (name, row.label, measure): printed_ratio(table, row, measure)
        for name, table in TABLES.items()
        for row in table.rows
        for measure in table.measures
    }
    # TSM's text says 1.5 times the latency and 55 % of the throughput of TSM for I3D.
    assert ratios["tsm-5", "I3D replace", "latency"] == "1.609"
    assert ratios["tsm-5", "I3D replace", "throughput"] == "2.042"
    assert ratios["vsn-6", "VSN-R101", "latency"] == "1.075"  # over TSN-R101
    assert ratios["gsf-12", "GSF", "latency"] == "1.634"
    assert ratios["rubiksnet-a2", "3-D convolution", "latency"] == "8.867"
    assert ratios["tsm-fig-2a", "all", "latency"] == "1.137 (CPU), 1.124 (GPU)"
    for table, row in every_row():
        if row == base_of(table, row):
            assert printed_ratio(table, row, "latency") == "1"


class Nothing:
    """A program that computes nothing."""

    flops = 10**6

    def compile(self):
        return (lambda: None), {"flops": self.flops}


@pytest.fixture
def pretend(monkeypatch):
    """Lowers nothing, and keeps what would have been lowered."""
    asked = []

    def lower(model, measure, clips):
        x = getattr(clips, "data", clips)
        asked.append((measure, x.shape, x.dtype.name))
        return Nothing()

    monkeypatch.setattr(step_programs, "lower", lower)
    monkeypatch.setattr(paper_rows.comparison, "inputs", lambda n, *x: (n, shape(*x)))
    monkeypatch.setattr(paper_rows, "random_network", lambda model: model)
    monkeypatch.setattr(paper_rows, "stepping", lambda *sizes: lambda: None)
    cheap = count.Cost(1, 1, 1)
    monkeypatch.setattr(paper_rows.count, "cost", lambda *_, **__: cheap)
    return asked


def shape(shape, dtype):
    return jax.ShapeDtypeStruct(shape, dtype)


def run(capsys, *arguments):
    assert cli.run(["speed", *arguments]) == 0
    return capsys.readouterr()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_papers_rows_without_an_empty_cell(name, pretend, capsys):
    table = TABLES[name]
    out, err = run(capsys, f"--table={name}", "--seconds=0.001", "--side=8")
    lines = [line for line in out.splitlines() if line.startswith("| ")]
    assert lines[0] == f"| {' | '.join(paper_lines.HEADING)} |"
    assert len(lines) == 1 + len(table.rows) * len(table.measures)
    assert "|  |" not in out and "None" not in out
    for row in table.rows:
        assert f"| {row.label}" in out
        for printed in row.printed.values():
            assert f"| {printed} " in out
    assert table.device in out and table.protocol in out and "8 x 8" in out
    assert all(f"Not timed: {text}." in out for text in table.absent)
    assert f"{len(lines) - 1} programs: about 1 s of timing here" in err
    for _, asked, dtype in pretend:
        assert dtype in (table.dtype, "float32")
        assert table.kind != "clips" or asked[2:] == (8, 8, 3)


def test_the_sizes_of_the_papers(pretend, capsys):
    out, _ = run(capsys, "--table=tsm-5", "--seconds=0.001", "--json")
    rows = {(r["label"], r["measure"]): r for r in map(json.loads, out.splitlines())}
    assert len(rows) == 8
    assert pretend[0] == ("latency", (1, 32, 224, 224, 3), "float32")
    assert pretend[-1] == ("throughput", (16, 16, 224, 224, 3), "float32")
    row = rows["TSM 16F", "throughput"]
    assert (row["published"], row["base"], row["frames"]) == ("39.5", "TSM 8F", 16)
    assert row["clips_per_second"] == pytest.approx(16 / row["seconds"])
    assert row["jax"] == jax.__version__ and row["error"] is None
    del pretend[:]
    arguments = ("--batch=2", "--dtype=bfloat16", "--side=32")
    run(capsys, "--table=tsm-5", "--seconds=0.001", *arguments)
    assert pretend[0] == ("latency", (1, 32, 32, 32, 3), "bfloat16")
    assert pretend[-1] == ("throughput", (2, 16, 32, 32, 3), "bfloat16")
    del pretend[:]
    run(capsys, "--table=gsf-12", "--seconds=0.001", "--side=8")
    assert [dtype for *_, dtype in pretend] == ["bfloat16"] * 2 + [
        "float32",
        "bfloat16",
    ]


def test_ratios_are_of_the_same_turns(monkeypatch):
    """What is slow in one turn is slow for both; the last numbers are of one turn."""
    table = TABLES["vsn-6"]
    (group, _) = paper_rows.jobs(table)
    found = {job.key: job.empty_row() for job in group}
    r50, tsm, _, r101, vsn101 = (job.key for job in group)
    times = {r50: [9.0, 1.0, 2.0, 4.0], tsm: [1.1, 2.2, 4.4]}
    times |= {r101: [2.0, 4.0, 8.0], vsn101: [3.0, 6.0, 12.0]}
    monkeypatch.setattr(paper_rows.timing, "in_turns", lambda *_, **__: times)
    paper_rows.time_group(group, found, {}, 1)
    assert found[tsm]["times_base"] == pytest.approx(1.1)
    assert found[tsm]["times_base_quartiles"] == pytest.approx((1.1, 1.1))
    assert (found[tsm]["seconds"], found[tsm]["blocks"]) == (2.2, 3)
    assert found[vsn101]["times_base"] == pytest.approx(1.5)  # over TSN-R101
    assert found[r50]["times_base"] == 1


def test_what_does_not_fit_or_run_says_so(monkeypatch, capsys):
    def lower(model, measure, clips):
        program = Nothing()
        errors = iter(
            [
                jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 80 GB"),
                NotImplementedError("shift3d: 'triton' runs on cuda alone"),
            ][len(made) : len(made) + 1]
        )
        made.append(program)
        error = next(errors, None)
        if error:
            program.compile = lambda: (_ for _ in ()).throw(error)
        return program

    made = []
    monkeypatch.setattr(step_programs, "lower", lower)
    out, _ = run(capsys, "--table=rubiksnet-a2", "--seconds=0.001", "--side=4")
    assert "| 7.98 ms | out of memory | - | - |" in out
    assert "| 3.59 ms | shift3d: 'triton' runs on cuda alone | - | - |" in out
    assert out.count("1.000 to 1.000") == 1


def test_blocks_run_by_each_implementation_of_the_device(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    (group,) = paper_rows.jobs(TABLES["rubiksnet-a2"])
    labels = [job.label for job in group]
    shifted = [f"{b}, {i}" for b in (CONV_2D, RUBIKS) for i in ("xla", "triton")]
    assert labels == ["3-D convolution", *shifted]
    assert {job.base for job in group} == {group[3].key}
    with pytest.raises(NotImplementedError, match="triton"):  # on this CPU
        group[4]._replace(side=4, batch=1).program().compile()


def small_table(kind: str, network: str) -> PaperTable:
    row = PaperRow("TSM", network, {"latency": "2"})
    about = {"device": "a device", "protocol": "a protocol", "base": "TSM"}
    return PaperTable("small", kind=kind, rows=(row,), **about)


SMALL = {
    "clips": small_table("clips", "resnet_tiny/tsm"),
    "frames": small_table("frames", "resnet_tiny/tsm:causal=true"),
}


@pytest.mark.parametrize("name", ["clips", "frames", "rubiksnet-a2"])
def test_small_tables_in_earnest(name, monkeypatch, capsys):
    """One program of each kind, and the three blocks, on 8 x 8 places."""
    for kind, table in SMALL.items():
        monkeypatch.setitem(TABLES, kind, table)
    out, _ = run(capsys, f"--table={name}", "--side=8", "--seconds=0.01", "--json")
    rows = list(map(json.loads, out.splitlines()))
    assert len(rows) == len(TABLES[name].rows)
    for row in rows:
        low, high = row["seconds_quartiles"]
        assert 0 < low <= row["seconds"] <= high and row["blocks"] >= 3
        assert row["flops"] > 0 and row["times_base"] > 0
    if name == "rubiksnet-a2":  # 3x3x3 and 3x3 products for each 1x1 one
        of_3d, of_2d, of_rubiks = (row["flops"] for row in rows)
        assert of_3d > 2 * of_2d > 8 * of_rubiks


def exported(kind="stream", streams="B"):
    """A stream of ten answers that adds up its frames."""
    frame = {"name": "frame", "shape": [streams, 4, 6, 3], "dtype": "uint8"}
    past = {"name": "past", "shape": [streams, 1], "dtype": "float32"}
    description = {"kind": kind, "format": "onnx", "network": "resnet_tiny/tsm"}

    def call(frame, past):
        assert (frame.shape, frame.dtype, past.shape) == ((1, 4, 6, 3), "uint8", (1, 1))
        seen.append(past.item())
        return np.zeros((1, 10)), past + 1

    seen = []
    return Exported(description | {"inputs": [frame, past]}, call), seen


def test_an_exported_stream_is_a_row_beside(pretend, monkeypatch, capsys):
    network, seen = exported()
    monkeypatch.setattr(export, "load", lambda path: network)
    arguments = ("--table=tsm-6", "--file=a.onnx", "--side=8", "--seconds=0.001")
    out, _ = run(capsys, *arguments, "--json")
    *_, row = map(json.loads, out.splitlines())
    assert (row["label"], row["side"]) == ("a.onnx, onnx on the CPU", 4)
    assert (row["name"], row["base"]) == ("resnet_tiny/tsm", "TSN")
    assert row["seconds"] > 0 and row["times_base"] is None  # it takes no turns
    assert seen == list(range(len(seen))) and len(seen) >= 5  # what was kept comes back


@pytest.mark.parametrize(
    ("table", "fields", "said"),
    [
        ("--table=tsm-6", {"kind": "clip"}, "takes clips"),
        ("--table=tsm-6", {"streams": 2}, "takes 2 streams"),
        ("--table=tsm-5", {}, "tables of a frame at a time"),
        ("--seconds=1", {}, "timed in a --table"),
    ],
)
def test_a_file_that_no_table_takes(table, fields, said, monkeypatch, capsys):
    network, _ = exported(**fields)
    monkeypatch.setattr(export, "load", lambda path: network)
    assert cli.run(["speed", table, "--file=a.onnx"]) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_table_is_one_line_with_the_right_ones(capsys):
    assert cli.run(["speed", "--table=tsm-7"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    assert all(name in err for name in TABLES)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("resnet_tiny/tsm", "no NAME"),
        ("--num-frames=4", "no --num-frames"),
        ("--train-batch=4", "no --train-batch"),
        ("--no-train", "no --no-train"),
        ("--dtype=both", "no --dtype both"),
    ],
)
def test_a_table_has_its_own_networks(argument, said, capsys):
    assert cli.run(["speed", "--table=tsm-5", argument]) == 2
    assert said in capsys.readouterr().err
