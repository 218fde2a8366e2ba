"""`train.py` as a user runs it: a process of its own, killed, resumed, in two parts."""

import json
import shutil
import signal
import socket
import time

import pytest

from tests.commands import arguments, finish, start, start_program, train
from vidshift.training.log import read_metrics


def of_kind(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def trajectory(lines):
    """What exactness means: every step's clips and loss, every validation, the end."""
    exact = {"train", "validation", "end", "test"}
    return [
        {k: v for k, v in line.items() if k != "seconds"}
        for line in lines
        if line["kind"] in exact
    ]


def wait_for_step(workdir, process, step):
    while process.poll() is None:
        if any(x["step"] >= step for x in of_kind(read_metrics(workdir), "train")):
            return
        time.sleep(0.01)
    pytest.fail(f"the run ended before step {step}: {process.communicate()[1]}")


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
@pytest.mark.parametrize("step", [2, 7, 9])
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path, data_dir, whole_run, step):
    """SIGKILL before the first checkpoint, right after one, and between two."""
    process = start(tmp_path, data_dir)
    wait_for_step(tmp_path, process, step)
    process.kill()
    process.communicate()
    assert trajectory(train(tmp_path, data_dir)) == trajectory(whole_run)


@pytest.mark.slow
def test_sigterm_saves_before_it_leaves(tmp_path, data_dir, whole_run):
    process = start(tmp_path, data_dir)
    wait_for_step(tmp_path, process, 2)
    process.send_signal(signal.SIGTERM)
    out, _ = finish(process, code=128 + signal.SIGTERM)
    assert "the same command goes on" in out
    stopped = max(x["step"] for x in of_kind(read_metrics(tmp_path), "train"))
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
        "checkpoint__every_steps": 2,
    }
    whole = train(tmp_path / "whole", data_dir, **fields)
    process = start(tmp_path / "cut", data_dir, **fields)
    wait_for_step(tmp_path / "cut", process, 5)
    process.kill()
    process.communicate()
    cut = train(tmp_path / "cut", data_dir, **fields)
    assert trajectory(cut) == trajectory(whole)
    assert of_kind(whole, "train")[-1]["lr"] == pytest.approx(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def two_processes(workdir, data_dir, **fields):
    port = free_port()
    return [
        start(
            workdir,
            data_dir,
            devices=2,
            distributed__mode="explicit",
            distributed__coordinator=f"localhost:{port}",
            distributed__num_processes=2,
            distributed__process_id=index,
            distributed__timeout_seconds=120,
            **fields,
        )
        for index in range(2)
    ]


@pytest.fixture(scope="session")
def four_devices(tmp_path_factory, data_dir):
    return train(tmp_path_factory.mktemp("four"), data_dir, devices=4)


@pytest.mark.slow
def test_two_processes_are_one_process_with_their_devices(
    tmp_path, data_dir, four_devices
):
    outs = [finish(p) for p in two_processes(tmp_path, data_dir)]
    assert "process 1: 2 x cpu" in outs[0][0]
    both = read_metrics(tmp_path)
    for ours, one in zip(
        of_kind(both, "train"), of_kind(four_devices, "train"), strict=True
    ):
        assert ours["clips"] == one["clips"]
        assert ours["loss"] == pytest.approx(one["loss"], rel=1e-5)
    for kind in ("validation", "test"):
        assert of_kind(both, kind) == of_kind(four_devices, kind)


@pytest.mark.slow
def test_sigterm_to_one_process_stops_both(tmp_path, data_dir, four_devices):
    processes = two_processes(tmp_path, data_dir)
    wait_for_step(tmp_path, processes[0], 2)
    processes[1].send_signal(signal.SIGTERM)
    for process in processes:
        finish(process, code=128 + signal.SIGTERM)
    for process in two_processes(tmp_path, data_dir):
        finish(process)
    clips = [x["clips"] for x in of_kind(read_metrics(tmp_path), "train")]
    assert clips == [x["clips"] for x in of_kind(four_devices, "train")]


@pytest.mark.slow
def test_number_of_devices_and_eval_batch_do_not_change_validation(
    tmp_path, data_dir, whole_run
):
    """The same weights, scored under other eval batches, on other devices."""
    first = train(tmp_path / "first", data_dir, steps=6)
    for devices, batch in ((1, 7), (4, 32), (8, 64)):
        again = train(
            tmp_path / f"{devices}",
            data_dir,
            devices=devices,
            steps=1,
            eval_batch_size=batch,
            batch_size=16,
            optim__lr=0.0,
            optim__weight_decay=0.0,
            optim__warmup_epochs=0.0,
            norm__freeze="all",
            init=tmp_path / "first",
        )
        (score,) = of_kind(again, "validation")
        (before,) = of_kind(first, "validation")
        assert {k: v for k, v in score.items() if k != "step"} == {
            k: v for k, v in before.items() if k != "step"
        }


def fails(workdir, data_dir, **fields):
    _, err = finish(start(workdir, data_dir, **fields), code=2)
    (line,) = errors(err)
    return line


def errors(err):
    """What a run wrote to stderr, but for the drawing of its clips."""
    return [x for x in err.splitlines() if not x.startswith("ordered_motion: ")]


@pytest.mark.parametrize(
    "field, value, expected",
    [
        ("model__backbone", "resnet51", "did you mean 'resnet50'?"),
        ("optim__lrr", 1, "no field 'lrr' (did you mean 'lr'?)"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, data_dir, field, value, expected):
    assert expected in fails(tmp_path, data_dir, **{field: value})


@pytest.mark.slow
@pytest.mark.parametrize(
    "field, value, expected",
    [
        ("model__temporal", "tsmm", "one of: tsn, tsm"),
        ("model__placement", "x", "placement must be one of"),
        ("protocol", "5x5", "one of: 1x1"),
        ("data__name", "nothing", "ordered_motion"),
        ("optim__schedule", "linear", "one of: cosine, cosine_from_start, step"),
        ("optim__groups", "x", "one of: plain, tsm, tsm_fc5, uniform"),
        ("norm__freeze", "some", "freeze must be one of"),
        ("batch_size", 15, "does not divide by 2 devices"),
        ("data__validation_split", "foo", "no split named 'foo'"),
        ("optim__lrr", "None", "no field 'lrr'"),
        ("batch_size", "None", "cannot be None"),
        ("optim__lr", "fast", "could not convert string to float"),
        ("init", "nowhere", "is no run or checkpoint"),
    ],
)
def test_more_wrong_input_is_one_line(tmp_path, data_dir, field, value, expected):
    assert expected in fails(tmp_path, data_dir, devices=2, **{field: value})


@pytest.mark.slow
def test_a_nan_stops_the_run_and_names_the_last_good_checkpoint(tmp_path, data_dir):
    fields = {"optim__clip_norm": 1e30, "checkpoint__every_steps": 1}
    line = fails(tmp_path, data_dir, optim__lr=1e30, **fields)
    assert "nan at step" in line or "inf at step" in line
    assert "the last good checkpoint is" in line
    assert not of_kind(read_metrics(tmp_path), "end")


FAIL_IN_BATCH_8 = """
import runpy, sys
from vidshift.data import loader

given, real = 0, loader.Batches.__next__

def next_batch(self):
    global given
    given += "flip" in (batch := real(self))  # a training batch
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
    assert errors(err) == ["train.py: error: made to fail"]
    out, _ = finish(start(tmp_path, data_dir))
    assert "going on from step 6 " in out


@pytest.mark.slow
def test_one_run_at_a_time_in_a_folder(tmp_path, data_dir):
    first = start(tmp_path, data_dir, steps=5000)
    wait_for_step(tmp_path, first, 2)
    assert "another process trains in" in fails(tmp_path, data_dir)
    first.send_signal(signal.SIGTERM)
    finish(first, code=128 + signal.SIGTERM)
    steps = [line["step"] for line in of_kind(read_metrics(tmp_path), "train")]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_need_what_it_started_from(tmp_path, data_dir):
    source = tmp_path / "source"
    train(source, data_dir, steps=3)
    first = train(tmp_path / "run", data_dir, init=source, steps=6)
    shutil.rmtree(source)
    again = train(tmp_path / "run", data_dir, init=source, steps=12)
    assert of_kind(first, "train") == of_kind(again, "train")[:6]


@pytest.mark.slow
def test_another_models_workdir_is_refused(tmp_path, data_dir):
    train(tmp_path, data_dir, steps=3)
    line = fails(tmp_path, data_dir, model__temporal="tsn")
    assert "model.temporal is 'tsm' there and 'tsn' here" in line
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.slow
def test_changed_fields_are_said_and_fewer_steps_refused(tmp_path, data_dir):
    train(tmp_path, data_dir, steps=6)
    out, _ = finish(start(tmp_path, data_dir, optim__lr=0.05))
    assert "changed since: optim.lr: 0.1 -> 0.05" in out
    assert "changed since: steps: 6 -> 12" in out
    assert "already, beyond 6 steps" in fails(tmp_path, data_dir, steps=6)


@pytest.mark.slow
def test_processes_that_do_not_meet_give_up_in_time(tmp_path, data_dir):
    began = time.monotonic()
    line = fails(
        tmp_path,
        data_dir,
        distributed__mode="explicit",
        distributed__coordinator=f"localhost:{free_port()}",
        distributed__num_processes=2,
        distributed__process_id=0,
        distributed__timeout_seconds=3,
    )
    assert "did not meet within 3 s" in line
    assert time.monotonic() - began < 60
