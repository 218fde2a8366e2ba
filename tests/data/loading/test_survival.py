"""Loading while workers die or hang, and workers whose training does."""

import functools
import logging
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.data.loading.test_loader import SPLIT, VIEW, assert_same, records, split_of
from tests.support.files import ROOT
from vidshift.data.loading import loader
from vidshift.data.media import video
from vidshift.data.sources.split import Split


def decode(source, indices, *, name, does):
    """Decodes as usual, but for "clip 3"."""
    if name == "clip 3":
        if does == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1000)
    return video.decode(source, indices, name=name)


def split_that(does) -> Split:
    return Split(
        records(10),
        SPLIT.classes,
        flip_labels=SPLIT.flip_labels,
        decode=functools.partial(decode, does=does),
    )


def take(count, split=SPLIT, **options):
    """Batches and failures."""
    options = {"workers": 2, "worker_kind": "process"} | options
    with loader.train_batches(
        split, VIEW, batch_size=5, seed=5, max_failed_share=0.5, **options
    ) as batches:
        return [next(batches) for _ in range(count)], batches.failures


@pytest.fixture(scope="module")
def replaced():
    """Two epochs without "clip 3", which cannot be decoded."""
    return take(4, split_of(records(10, broken=(3,))), workers=0)[0]


@pytest.fixture
def short_patience(monkeypatch):
    monkeypatch.setattr(loader, "MOST_SECONDS", 1.0)


@pytest.mark.slow
def test_a_clip_on_which_the_decoder_crashes_is_named_and_replaced(replaced, caplog):
    with caplog.at_level(logging.WARNING, "vidshift.data"):
        got, failures = take(4, split_that("dies"))
    assert_same(got, replaced)
    assert [name for name, _ in failures] == ["clip 3"] * 2
    assert "clip 3: the decoder crashed" in failures[0][1]
    assert failures[0][1].endswith(", 2 times")
    assert "another process tries again" in caplog.text
    assert "clip 3: the decoder crashed" in caplog.text


def test_processes_that_are_killed_from_outside_cost_no_clip():
    options = {"workers": 3, "worker_kind": "process"}
    with loader.train_batches(SPLIT, VIEW, batch_size=5, seed=5, **options) as batches:
        got = [next(batches)]
        for _ in range(7):
            killed, *others = multiprocessing.active_children()
            killed.kill()
            got.append(next(batches))
            # Each has a pipe that no other has.
            assert all(process.is_alive() for process in others)
        assert not batches.failures
    assert_same(got, take(8, workers=0)[0])


def test_a_clip_on_which_the_decoder_hangs_is_named_and_replaced(
    replaced, short_patience
):
    got, failures = take(2, split_that("hangs"))
    assert_same(got, replaced[:2])
    ((name, reason),) = failures
    assert name == "clip 3"
    assert reason == "clip 3: the decoder took longer than 1 s"


def test_a_thread_that_hangs_is_an_error_and_no_hang(short_patience, monkeypatch):
    monkeypatch.setattr("vidshift.data.parallel.workers.CLOSING_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="row 3 took longer than 1 s.*=process"):
        take(2, split_that("hangs"), worker_kind="thread")
    assert time.monotonic() - began < 20


class DeadlyRecord(list):
    """Cannot be read without a crash."""

    def __getitem__(self, row):
        if row == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(row)


def test_a_record_that_crashes_its_reader_is_named_by_its_row(replaced):
    got, failures = take(2, split_of(DeadlyRecord(SPLIT.source)))
    assert_same(got, replaced[:2])
    assert [name for name, _ in failures] == ["row 3"]


def test_evaluation_leaves_out_what_a_process_cannot_survive():
    with loader.eval_batches(
        split_that("dies"), VIEW, batch_size=5, workers=2, worker_kind="process"
    ) as batches:
        index = [batch["index"].tolist() for batch in batches]
        assert [name for name, _ in batches.failures] == ["clip 3"]
    assert index == [[0, 1, 2, -1, 4], [5, 6, 7, 8, 9]]


# Loads in two processes, one of which hangs; says who they are, and waits.
LOADS = """
import functools, multiprocessing, sys, time
from tests.data.loading.test_survival import VIEW, split_that
from vidshift.data.loading.loader import train_batches

with train_batches(
    split_that("hangs"), VIEW, batch_size=1, seed=5, workers=2, worker_kind="process"
) as batches:
    print("starting", flush=True)
    next(batches)
    print(*(it.pid for it in multiprocessing.active_children()), flush=True)
    for batch in batches:
        pass
"""


def loading() -> subprocess.Popen:
    # A job in the background ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", LOADS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    assert process.stdout.readline() == "starting\n"
    return process


def running(group: int) -> list[int]:
    """Processes of a group that are there and no zombies."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent group
            state, _, own = path.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(own) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait_until_none_runs(group: int) -> None:
    until = time.monotonic() + 20
    while running(group):
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.05)


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.slow
def test_workers_end_with_a_training_that_is_killed():
    process = loading()
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2 and set(pids) < set(running(process.pid))
    time.sleep(1)  # One of them hangs now.
    process.kill()
    process.wait()
    wait_until_none_runs(process.pid)
    process.communicate()


@linux
@pytest.mark.slow
@pytest.mark.parametrize("started", [False, True])
def test_an_interruption_is_one_traceback(started):
    process = loading()
    if started:
        process.stdout.readline()
    else:
        time.sleep(0.7)  # While the workers import.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.count("Traceback") == 1 and "KeyboardInterrupt" in err, err
    wait_until_none_runs(process.pid)
