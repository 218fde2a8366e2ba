"""Runs `train.py` and `eval.py` as a user does: in a process of their own."""

import os
import pathlib
import subprocess
import sys
import tempfile

from vidshift.training.log import read_metrics

COMPILED = pathlib.Path(tempfile.mkdtemp(prefix="compiled"))
ROOT = pathlib.Path(__file__).parent.parent
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


def start(workdir, data_dir, *, devices=1, **fields):
    """Starts `train.py` on a few fake CPU devices."""
    flags = arguments(workdir, data_dir, **fields)
    return start_program("train.py", *flags, devices=devices)


def start_program(*arguments, devices=1):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            # Most runs compile the same programs.
            "JAX_COMPILATION_CACHE_DIR": str(COMPILED),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    # The CUDA plugin, there to compile for absent GPUs, says that it finds none.
    plugin = ("WARNING: All log messages before absl", "cudart_stub.cc")
    lines = [x for x in err.splitlines(True) if not any(p in x for p in plugin)]
    return out, "".join(lines)


def train(workdir, data_dir, **options):
    finish(start(workdir, data_dir, **options))
    return read_metrics(workdir)
