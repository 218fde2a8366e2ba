"""Budgets that change while a stream is watched."""

import dataclasses
import functools
import io
import itertools
import time

import numpy as np
import pytest

import vidshift
from tests.support.runs_for_streams import call, shares, softmax, write_run, write_video
from vidshift import create
from vidshift.adaptive import Narrow, SubNetwork, narrow, table
from vidshift.data.media import video
from vidshift.run import BUDGETS, Run
from vidshift.stream import control
from vidshift.stream.answering import cut


def row(name, gflops, top1, latency_ms=None, crop=16):
    subnetwork = SubNetwork.parse(name)
    conditions = table.Conditions("validation", "1x1", "logits", 2, 8)
    return table.BudgetRow(
        subnetwork, crop, gflops, 10, top1, 1.0, conditions, latency_ms
    )


SMALL, MIDDLE, LARGE = (
    row("16x2,0.5", 1.0, 0.5, 5.0),
    row("16x4,0.5", 2.0, 0.6, 10.0),
    row("16x4,1", 4.0, 0.7, 20.0),
)
SECONDS = {SMALL: 0.005, MIDDLE: 0.010, LARGE: 0.020}


def test_the_largest_that_keeps_up():
    rows = lambda interval: control.Largest(SECONDS, interval).row
    assert [rows(i) for i in (0.1, 0.025, 0.02, 0.008, 0.001)] == [
        *(LARGE, LARGE, MIDDLE, SMALL, SMALL)
    ]


def test_it_goes_down_at_once_and_up_with_patience():
    """The machine takes 10 ms more for each answer, then no more."""
    chosen = control.Largest(SECONDS, 0.03)
    assert chosen.row == LARGE
    found = [chosen.answered(SECONDS[chosen.row] + 0.012) for _ in range(8)]
    assert found[: control.ANSWERS - 1] == [LARGE] * (control.ANSWERS - 1)
    assert found[-1] == MIDDLE
    found = [chosen.answered(SECONDS[chosen.row]) for _ in range(2 * control.PATIENCE)]
    assert found[control.PATIENCE // 2] == MIDDLE and found[-1] == LARGE
    # One that just keeps up is left alone, and a single late answer changes nothing.
    chosen = control.Largest(SECONDS, 0.03)
    late = itertools.chain([0.2], itertools.repeat(0.021))
    assert {chosen.answered(next(late)) for _ in range(30)} == {LARGE}


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory):
    """A run of a network of random weights, and a table that nobody measured."""
    folder = tmp_path_factory.mktemp("a3d")
    run = write_run(folder, backbone="slow_tiny", temporal="tsn")
    opened = Run.open(run)
    model = opened.description.model
    _, stats = opened.weights()
    budgets = run / BUDGETS
    budgets.mkdir()
    other = row("16x4,0.5", 3.0, 0.9, crop=64)
    rows = (LARGE, MIDDLE, SMALL, other)
    table.write(budgets, table.Table(opened.step, "cpu", rows))
    for one in rows:
        network = Narrow.of(functools.partial(create, **one.subnetwork.of(model)))
        table.write_statistics(budgets, one, narrow(stats, network.stats))
    return run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", 40, fps=20.0)


@pytest.mark.slow
def test_a_budget_chooses_a_sub_network(adaptive, clip, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    arguments = ["--run", adaptive, "--video", clip, "--window=20", "--top=4"]
    loaded = vidshift.load_adaptive(adaptive)
    opened = Run.open(adaptive)
    # The second answer is at frame 20, by the clip of the last four frames.
    shown = np.stack(
        [cut(rgb, opened.view) for rgb in video.decode(clip, range(17, 21))]
    )
    seen = opened.normalise(shown[None])
    for given, wanted in (
        (["--budget=2"], "16x4,0.5"),
        ([], None),  # it would be shown whole, as --window alone asks for
    ):
        figures, lines = call(capsys, *arguments, *given)
        assert figures["subnetworks"] == (wanted and {wanted: 2})
        network = loaded.at(wanted) if wanted else vidshift.load(adaptive)
        logits = np.asarray(network(seen))[0]
        assert shares(figures) == pytest.approx(softmax(logits), abs=1e-4)
    # Without a window the largest of the table.
    figures, _ = call(capsys, *arguments[:4], "--fps=5")
    assert figures["subnetworks"] == {"16x4,1": 10} and figures["sees"] == "windows"
    _, lines = call(capsys, *arguments, "--budget=0.5", code=2)
    assert "no sub-network is within gflops=0.5" in lines[-1]


def test_typed_lines_change_the_budget(adaptive):
    used, said = [], []
    networks = vidshift.load_adaptive(adaptive)
    networks.table = dataclasses.replace(networks.table, rows=(LARGE, MIDDLE, SMALL))
    budget = control.Budget(
        networks,
        use=used.append,
        seconds=lambda program: 0.01,
        interval=0.1,
        say=said.append,
    )

    def after(*lines, seconds=0.01):
        """Answers that take so long until there is something to read."""
        before = len(said)
        budget.listen(lines)
        until = time.monotonic() + 60
        while len(said) == before and time.monotonic() < until:
            budget.answered(seconds)
            time.sleep(0.01)
        return said[-1]

    budget.begin("4")
    assert said == ["sub-network 16x4,1, 4 GFLOPs"] and len(used) == 1
    assert after("\n", "budget 1\n") == "sub-network 16x2,0.5, 1 GFLOPs"
    assert after("what\n") == "'what' is none of " + control.WORDS
    assert "is none of" in after("budget much\n")
    assert "no sub-network is within gflops=0.1" in after("budget 0.1\n")
    assert after("latency 10\n") == "sub-network 16x4,0.5, 2 GFLOPs"
    # All take 10 ms here, which there is time for.
    assert after("budget auto\n") == "sub-network 16x4,1, 4 GFLOPs"
    for _ in range(3 * control.PATIENCE):
        budget.answered(0.01)
    assert budget.row == LARGE and len(used) == 4
    assert after(seconds=0.5) == "sub-network 16x2,0.5, 1 GFLOPs"
    # No more automatic.
    assert after("budget 2\n") == "sub-network 16x4,0.5, 2 GFLOPs"
    for _ in range(3 * control.PATIENCE):
        budget.answered(0.5)
    assert budget.row == MIDDLE
    assert set(budget.answers) == {"16x4,1", "16x2,0.5", "16x4,0.5"}
    budget.close()


@pytest.mark.parametrize(
    ("interval", "wanted"),
    [pytest.param(1e3, "16x4,1", marks=pytest.mark.slow), (1e-6, "16x2,0.5")],
)
def test_auto_measures_and_keeps_up(
    adaptive, clip, capsys, monkeypatch, interval, wanted
):
    """With 1,000 s for each answer the largest does, with 1 us only the smallest.

    Lines that change the budget come from stdin meanwhile.
    """
    monkeypatch.setattr("sys.stdin", io.StringIO("what\n"))
    largest, asked = control.Largest, []

    def fixed(seconds, given):
        asked.append((seconds, given))
        return largest(dict(zip(seconds, (0.1, 0.2, 0.3), strict=True)), interval)

    monkeypatch.setattr(control, "Largest", fixed)
    arguments = ["--run", adaptive, "--video", clip, "--budget=auto", "--window=5"]
    figures, said = call(capsys, *arguments)
    assert figures["subnetworks"] == {wanted: 8}
    assert any("'what' is none of `budget GFLOPS`" in line for line in said)
    ((seconds, given),) = asked
    # 20 frames a second, answered every fifth.
    assert given == pytest.approx(0.25)
    assert list(seconds) == [SMALL, MIDDLE, LARGE] and min(seconds.values()) > 0
