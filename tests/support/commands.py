"""Runs `train.py` and `eval.py` as a user does: in a process of their own."""

import os
import subprocess
import sys
import time

import pytest

from tests.support.files import ROOT
from tests.support.forked import Forked
from vidshift.training.log import read_metrics

TINY = {
    "data.options.side": 16,
    "data.options.frames": 8,
    "data.options.train_clips": 96,
    "data.options.validation_clips": 30,
    "data.options.test_clips": 30,
    "data.resize": 16,
    "data.crop": 16,
    "batch_size": 16,
    "eval_batch_size": 8,
    "steps": 12,
    "log_steps": 4,
}


def arguments(workdir, data_dir, **fields):
    """Flags of `train.py` for a tiny run; fields use `__` for dots."""
    fields = TINY | {k.replace("__", "."): v for k, v in fields.items()}
    return [
        f"--workdir={workdir}",
        f"--config.data.dir={data_dir}",
        *(f"--config.{name}={value}" for name, value in fields.items()),
    ]


def start(workdir, data_dir, *, devices=1, alone=False, **fields):
    """Starts `train.py` on a few fake CPU devices."""
    flags = arguments(workdir, data_dir, **fields)
    return start_program("train.py", *flags, devices=devices, alone=alone)


def environment(devices: int = 1) -> dict[str, str]:
    """Variables of a command that has a few fake CPU devices."""
    return {
        "JAX_PLATFORMS": "cpu",
        # Most runs compile the same programs, which conftest.py has a folder for.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"
        # What compiles and computes in the least time together.
        " --xla_backend_optimization_level=1" + os.environ["VIDSHIFT_TEST_EMITTERS"],
    }


def start_program(*arguments, devices=1, alone=False):
    """Starts a program, by a fork of a process that has its imports, unless alone."""
    if not alone and arguments[0] in ("train.py", "eval.py", "-m"):
        env = os.environ | environment(devices)
        return Forked(list(map(str, arguments)), env, imported_with=environment())
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def failures(program, many, *, devices=1) -> list[tuple[str, str]]:
    """-> (stdout, stderr) of a program with each of many wrong arguments; code 2."""
    return [
        finish(start_program(program, *arguments, devices=devices), code=2)
        for arguments in many
    ]


def finish(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out, err


def train(workdir, data_dir, **options):
    finish(start(workdir, data_dir, **options))
    return read_metrics(workdir)


def errors(err: str) -> list[str]:
    """What a run wrote to stderr, but for the drawing of its clips and JAX on proxies."""
    others = ("ordered_motion: ", "WARNING:jax._src.distributed:JAX detected proxy")
    return [x for x in err.splitlines() if not x.startswith(others)]


def fails(workdir, data_dir, **fields) -> str:
    """The one line in which a run ends."""
    (line,) = errors(finish(start(workdir, data_dir, **fields), code=2)[1])
    return line


def of_kind(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def wait_for_step(workdir, process, step):
    while process.poll() is None:
        if any(x["step"] >= step for x in of_kind(read_metrics(workdir), "train")):
            return
        time.sleep(0.01)
    pytest.fail(f"the run ended before step {step}: {process.communicate()[1]}")
