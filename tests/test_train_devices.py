"""`train.py` on several devices and in two processes: the same run as on one."""

import signal
import socket
import time

import pytest

from tests.commands import fails, finish, of_kind, start, train, wait_for_step
from vidshift.training.log import read_metrics


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


@pytest.fixture(scope="module")
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
def test_number_of_devices_and_eval_batch_do_not_change_validation(tmp_path, data_dir):
    """The same weights, scored under other eval batches, on other devices."""
    first = train(tmp_path / "first", data_dir, steps=6)
    (before,) = of_kind(first, "validation")
    for devices, batch in ((1, 7), (8, 64)):
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
        assert score | {"step": 6} == before


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
