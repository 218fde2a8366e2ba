"""Commands do not repeat what plugins say of devices that are not there."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.support.files import ROOT
from vidshift.command_line import quiet
from vidshift.data.parallel.processes import PRELOADED

WITHOUT_DEVICES = pytest.mark.skipif(
    bool(quiet._devices()), reason="this machine has a GPU or a TPU"
)


def stderr_of(*arguments: str) -> str:
    # Not what other tests have set, such as CUDA's variables for absent chips.
    names = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "JAX_COMPILATION_CACHE_DIR")
    env = {name: os.environ[name] for name in names if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    ).stderr


@WITHOUT_DEVICES
@pytest.mark.slow
def test_a_command_writes_nothing_to_stderr():
    assert stderr_of("-m", "vidshift.cost", "resnet_tiny/tsm") == ""


@WITHOUT_DEVICES
@pytest.mark.slow
def test_an_error_is_all_that_stderr_has(tmp_path):
    (line,) = stderr_of("eval.py", f"--workdir={tmp_path}").splitlines()
    assert line.startswith("vidshift eval: error: ")


@pytest.mark.slow
@WITHOUT_DEVICES
def test_worker_processes_start_without_a_word():
    """They are forked from one that begins with these imports."""
    code = f"import {PRELOADED}, jax; print(jax.devices()); "
    code += "import absl.logging; absl.logging.warning('TFDS talks a lot')"
    assert stderr_of("-c", code) == ""


@pytest.mark.slow
@WITHOUT_DEVICES
@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda12_plugin") is None, reason="no CUDA plugin"
)
def test_a_plugin_that_fails_beside_a_gpu_says_so():
    code = (
        "from vidshift.command_line import quiet; quiet.GPU = ('/dev/null',); "
        "quiet.quiet_plugins(); import jax; jax.devices()"
    )
    assert "Jax plugin configuration error" in stderr_of("-c", code)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without GPUs, TPUs and plugins; -> its folder of PCI devices."""
    for name in quiet.ASKED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(quiet, "GPU", ())
    monkeypatch.setattr(quiet, "TPU", ())
    monkeypatch.setattr(quiet, "PCI_DEVICES", str(tmp_path / "*"))
    monkeypatch.setattr(quiet, "_plugins", set)
    monkeypatch.setattr(sys, "meta_path", [])
    yield tmp_path
    os.environ.pop("JAX_PLATFORMS", None)


def platforms() -> str | None:
    quiet.quiet_plugins()
    return os.environ.get("JAX_PLATFORMS")


def add_card(machine, vendor: str, device: str) -> None:
    (machine / device).mkdir()
    (machine / device / "vendor").write_text(f"{vendor}\n")
    (machine / device / "device").write_text(f"{device}\n")


def test_without_devices_jax_uses_the_cpu(machine, monkeypatch):
    add_card(machine, "0x1ae0", quiet.NETWORK_CARD)
    monkeypatch.setattr(quiet, "_plugins", lambda: {"jax_plugins.xla_cuda13"})
    assert platforms() == "cpu"


def test_a_gpu_without_its_driver_is_a_gpu(machine):
    add_card(machine, "0x10de", "0x2330")
    assert platforms() is None and sys.meta_path == []


def test_a_tpu_is_left_to_jax(machine):
    add_card(machine, "0x1ae0", "0x0063")
    assert platforms() is None


def test_plugins_of_other_devices_are_left_to_jax(machine, monkeypatch):
    monkeypatch.setattr(quiet, "_plugins", lambda: {"jax_plugins.xla_rocm7"})
    assert platforms() is None


@pytest.mark.parametrize("name", quiet.ASKED)
def test_what_the_user_asks_for_is_left_to_jax(machine, monkeypatch, name):
    monkeypatch.setenv(name, "cuda")
    assert platforms() == ("cuda" if name == "JAX_PLATFORMS" else None)
