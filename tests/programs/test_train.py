"""`train.py` as a user runs it: a process of its own, killed, resumed, refused."""

import json
import random
import shutil
import signal
import time

import numpy as np
import pytest

from tests.support.commands import (
    arguments,
    errors,
    fails,
    failures,
    finish,
    of_kind,
    start,
    start_program,
    train,
    wait_for_step,
)
from vidshift import checkpoints
from vidshift.training.log import read_metrics


def trajectory(lines):
    """What exactness means: every step's clips and loss, every validation, the end."""
    exact = {"train", "validation", "end", "test"}
    return [
        {k: v for k, v in line.items() if k != "seconds"}
        for line in lines
        if line["kind"] in exact
    ]


@pytest.fixture(scope="session")
def whole_run(run_dir):
    return read_metrics(run_dir)


def test_a_run_reports_every_step_and_ends(whole_run):
    steps = of_kind(whole_run, "train")
    assert [x["step"] for x in steps] == list(range(1, 13))
    assert len({x["clips"] for x in steps}) == 12
    assert [x["step"] for x in of_kind(whole_run, "validation")] == [6, 12]
    (end,) = of_kind(whole_run, "end")
    assert len(end["params_sha256"]) == 64
    (test,) = of_kind(whole_run, "test")
    assert test["clips"] == 30


@pytest.mark.slow
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path, data_dir, whole_run):
    """SIGKILL before the first checkpoint, and at random moments; processes decode."""
    fields = {"data__worker_kind": "process", "checkpoint__every_steps": 2}
    for step in (1, 6, 9):
        process = start(tmp_path, data_dir, **fields)
        wait_for_step(tmp_path, process, step)
        time.sleep(moment := random.uniform(0, 0.5) * (step > 1))
        process.kill()
        process.communicate()
        print(f"killed {moment:.3f} s after step {step}")
    out, _ = finish(start(tmp_path, data_dir, **fields))
    assert "going on from step " in out
    assert trajectory(read_metrics(tmp_path)) == trajectory(whole_run)


@pytest.mark.slow
def test_sigterm_saves_before_it_leaves(tmp_path, data_dir, whole_run):
    """And while the run is there, no other trains in its folder."""
    process = start(tmp_path, data_dir, alone=True)
    wait_for_step(tmp_path, process, 2)
    process.send_signal(signal.SIGSTOP)  # so that it is still there
    assert "another process trains in" in fails(tmp_path, data_dir)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    out, _ = finish(process, code=128 + signal.SIGTERM)
    assert "the same command goes on" in out
    stopped = max(x["step"] for x in of_kind(read_metrics(tmp_path), "train"))
    assert stopped < 12
    assert (tmp_path / "checkpoints" / str(stopped)).is_dir()
    out, _ = finish(start(tmp_path, data_dir))
    assert f"going on from step {stopped} " in out
    assert "changed since" not in out
    assert trajectory(read_metrics(tmp_path)) == trajectory(whole_run)


@pytest.mark.slow
def test_everything_at_once_resumes_exactly(tmp_path, data_dir):
    """Dropout, average, accumulation, partial norms, bfloat16, step schedule, groups."""
    fields = {
        "model__dtype": "bfloat16",
        "model__dropout": 0.5,
        "optim__ema": 0.9,
        "optim__accumulate": 2,
        "optim__schedule": "step",
        "optim__step_epochs": "(1.0,)",
        "optim__groups": "tsm_fc5",
        "optim__label_smoothing": 0.1,
        "optim__clip_norm": None,
        "norm__freeze": "partial",
        "data__num_frames": 4,
        "data__test_split": "",
        "checkpoint__every_steps": 2,
        "checkpoint__keep_last": 9,
        "steps": 8,
    }
    first, _ = finish(start(tmp_path / "whole", data_dir, **fields))
    warning = "norm.freeze=partial: norms are frozen at their first values"
    assert first.count(warning) == 1
    whole = read_metrics(tmp_path / "whole")
    # As if killed between step 4 and 6, whose checkpoint is not complete.
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for step in ("6", "8"):
        shutil.rmtree(tmp_path / "cut" / "checkpoints" / step)
    out, _ = finish(start(tmp_path / "cut", data_dir, **fields))
    assert "going on from step 4 " in out and warning not in out
    cut = read_metrics(tmp_path / "cut")
    assert trajectory(cut) == trajectory(whole)
    assert [x["step"] for x in of_kind(cut, "train")] == list(range(1, 9))
    assert of_kind(whole, "train")[-1]["lr"] == pytest.approx(0.005)


WRONG = [
    ("model__backbone", "resnet51", "did you mean 'resnet50'?"),
    ("optim__lrr", 1, "no field 'lrr' (did you mean 'lr'?)"),
    ("data__name", "nothing", "ordered_motion"),
    ("batch_size", 15, "does not divide by 2 devices"),
    ("data__validation_split", "foo", "no split named 'foo'"),
    ("optim__lrr", "None", "no field 'lrr'"),
    ("batch_size", "None", "cannot be None"),
    ("optim__lr", "fast", "could not convert string to float"),
    ("init", "nowhere", "is no run or checkpoint"),
]


@pytest.fixture(scope="module")
def wrong(tmp_path_factory, data_dir):
    """What `train.py` writes to stderr for each of `WRONG`."""
    workdir = tmp_path_factory.mktemp("wrong")
    given = [arguments(workdir, data_dir, **{field: to}) for field, to, _ in WRONG]
    return [err for _, err in failures("train.py", given, devices=2)]


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(WRONG)), ids=lambda i: WRONG[i][0])
def test_wrong_input_is_one_line(wrong, index):
    (line,) = errors(wrong[index])
    assert WRONG[index][2] in line


@pytest.mark.slow
def test_a_run_goes_on_from_before_a_damaged_checkpoint(
    tmp_path, data_dir, run_dir, whole_run
):
    shutil.copytree(run_dir, tmp_path, dirs_exist_ok=True)
    newest = checkpoints.find(tmp_path, "last")
    file = max((newest / "training").rglob("d/*"), key=lambda x: x.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)
    out, _ = finish(start(tmp_path, data_dir, profile__steps="9:11"))
    assert f"{newest} is damaged and set aside: training/" in out
    assert "going on from step 6 " in out
    assert (tmp_path / "damaged" / newest.name).is_dir()
    assert trajectory(read_metrics(tmp_path)) == trajectory(whole_run)
    # Recording two of the steps changes nothing, and says what they held.
    assert "recorded 2 steps after 9 updates" in out
    assert "convolution" in out.partition("recorded 2 steps")[2]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


@pytest.mark.slow
def test_a_nan_stops_the_run_and_names_the_last_good_checkpoint(tmp_path, data_dir):
    fields = {"optim__clip_norm": 1e30, "checkpoint__every_steps": 1}
    line = fails(tmp_path, data_dir, optim__lr=1e30, **fields)
    assert "nan at step" in line or "inf at step" in line
    assert "the last good checkpoint is" in line
    assert not of_kind(read_metrics(tmp_path), "end")


FAIL_IN_BATCH_8 = """
import runpy, sys
from vidshift.command_line.quiet import quiet_plugins
quiet_plugins()
from vidshift.data.loading import loader

given, real = 0, loader.Batches.__next__

def next_batch(self):
    global given
    batch = real(self)
    if "flip" in batch:  # of training, by the one thread that loads ahead
        given += 1
        if given == 8:
            raise loader.TooManyFailures("made to fail")
    return batch

loader.Batches.__next__ = next_batch
sys.argv.pop(0)
runpy.run_path("train.py", run_name="__main__")
"""


@pytest.mark.slow
def test_an_error_loses_nothing_that_was_being_saved(tmp_path, data_dir):
    """The checkpoint of step 6 is on its way to the disk when batch 8 fails."""
    failing = start_program(
        "-c", FAIL_IN_BATCH_8, "train.py", *arguments(tmp_path, data_dir)
    )
    _, err = finish(failing, code=2)
    assert errors(err) == ["vidshift train: error: made to fail"]
    last = checkpoints.find(tmp_path, "last")
    assert last.name == "6"
    params, _ = checkpoints.read_weights(last)
    assert all(np.isfinite(array).all() for array in params.values())


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_need_what_it_started_from(
    tmp_path, data_dir, run_dir
):
    source, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(run_dir, source)
    # The learning rate of a step depends on the steps of the whole run, and is a part of
    # the compiled program: as many numbers of steps, as many compilations.
    first = train(workdir, data_dir, init=source, steps=6)
    assert of_kind(first, "train") != of_kind(read_metrics(source), "train")[:6]
    shutil.rmtree(source)
    # A field that the compiled program does not depend on.
    again = {"init": source, "log_steps": 5}
    out, _ = finish(start(workdir, data_dir, **again))
    assert "changed since: log_steps: 4 -> 5" in out
    assert "changed since: steps: 6 -> 12" in out
    assert of_kind(first, "train") == of_kind(read_metrics(workdir), "train")[:6]
    line = fails(workdir, data_dir, steps=6, **again)
    assert "already, beyond 6 steps" in line


@pytest.mark.slow
def test_another_models_workdir_is_refused(tmp_path, data_dir, run_dir):
    shutil.copytree(run_dir, tmp_path, dirs_exist_ok=True)
    line = fails(tmp_path, data_dir, model__temporal="tsn")
    assert "model.temporal is 'tsm' there and 'tsn' here" in line
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
