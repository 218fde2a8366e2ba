"""`train.py` on several devices and in two processes: the same run as on one."""

import json
import signal
import socket
import time

import pytest

from tests.support.commands import (
    errors,
    finish,
    of_kind,
    start,
    start_program,
    train,
    wait_for_step,
)
from vidshift import checkpoints
from vidshift.training.log import read_metrics


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def two_processes(workdir, data_dir, *, of_second=None, **fields):
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
            **fields | (of_second if index and of_second else {}),
        )
        for index in range(2)
    ]


@pytest.mark.slow
def test_two_processes_are_one_process_with_their_devices(tmp_path, data_dir):
    """And SIGTERM to one of them stops both, which go on as if it had not come."""
    workdir, fields = tmp_path / "both", {"data__num_frames": 4}
    processes = two_processes(workdir, data_dir, **fields)
    wait_for_step(workdir, processes[0], 2)
    processes[1].send_signal(signal.SIGTERM)
    outs = [finish(process, code=128 + signal.SIGTERM) for process in processes]
    assert "process 1: 2 x cpu" in outs[0][0]
    outs = [finish(process) for process in two_processes(workdir, data_dir, **fields)]
    assert "going on from step " in outs[0][0]
    both = read_metrics(workdir)
    four_devices = train(tmp_path / "four", data_dir, devices=4, **fields)
    for ours, one in zip(
        of_kind(both, "train"), of_kind(four_devices, "train"), strict=True
    ):
        assert ours["clips"] == one["clips"]
        assert ours["loss"] == pytest.approx(one["loss"], rel=1e-5)
    for kind in ("validation", "test"):
        assert of_kind(both, kind) == of_kind(four_devices, kind)


@pytest.mark.slow
def test_number_of_devices_and_eval_batch_do_not_change_validation(
    tmp_path, data_dir, run_dir
):
    """The same weights, scored under other eval batches, on other devices."""
    before = of_kind(read_metrics(run_dir), "validation")[-1]
    given = ["--checkpoint=last", "--split=validation", "--batch-size=7"]
    process = start_program("eval.py", f"--workdir={run_dir}", *given)
    score = json.loads(finish(process)[0])
    assert {"kind": "validation", "step": 12} | {
        name: score[name] for name in before if name not in ("kind", "step")
    } == before
    again = train(
        tmp_path,
        data_dir,
        devices=8,
        steps=1,
        eval_batch_size=64,
        batch_size=16,
        optim__lr=0.0,
        optim__weight_decay=0.0,
        optim__warmup_epochs=0.0,
        norm__freeze="all",
        init=run_dir / "checkpoints" / "12",
    )
    (score,) = of_kind(again, "validation")
    assert score | {"step": 12} == before


@pytest.mark.slow
def test_when_process_0_is_killed_the_other_ends_at_once_in_a_line(tmp_path, data_dir):
    """JAX has its own connection to process 0, and would abort with a stack."""
    long = {"steps": 10**5, "validate_epochs": 10**4, "checkpoint__every_steps": 4}
    processes = two_processes(tmp_path, data_dir, data__num_frames=4, **long)
    wait_for_step(tmp_path, processes[0], 9)
    processes[0].kill()
    began = time.monotonic()
    line = own_line(processes[1])
    assert line == "process 0 of 2 went away (its connection closed)"
    assert time.monotonic() - began < 30
    last = checkpoints.find(tmp_path, "last")
    assert int(last.name) >= 4 and checkpoints.read_weights(last)


@pytest.mark.slow
def test_when_one_process_has_an_error_each_ends_in_a_line(tmp_path, data_dir):
    no_folder = tmp_path / "file"
    no_folder.touch()
    processes = two_processes(tmp_path, data_dir, of_second={"data__dir": no_folder})
    began = time.monotonic()
    lines = [own_line(process) for process in processes]
    assert (
        lines[0]
        == "process 1 of 2 was interrupted or had an error, which it says itself"
    )
    assert str(no_folder) in lines[1]
    assert time.monotonic() - began < 60


def own_line(process) -> str:
    (line,) = errors(finish(process, code=2)[1])
    return line.removeprefix("vidshift train: error: ")
