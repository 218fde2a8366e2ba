"""Tests run on the CPU as 8 devices, and shape annotations are checked."""

import atexit
import os
import re
import shutil
import tempfile

os.environ["JAX_PLATFORMS"] = os.environ.get("VIDSHIFT_TEST_PLATFORM", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
# A folder for the programs that the commands compile, the same in every worker.
if "VIDSHIFT_TEST_COMPILED" not in os.environ:
    os.environ["VIDSHIFT_TEST_COMPILED"] = tempfile.mkdtemp(prefix="compiled")
    atexit.register(shutil.rmtree, os.environ["VIDSHIFT_TEST_COMPILED"], True)
# Of every command, so that none writes to the user's.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["VIDSHIFT_TEST_COMPILED"]

import gc
import importlib.metadata
import io
from fnmatch import fnmatchcase
from pathlib import Path

# The older emitters compile in a fraction of the time. jaxlib 0.12 has them no more, and
# aborts at a flag that it does not know.
JAXLIB = tuple(
    int(part) for part in importlib.metadata.version("jaxlib").split(".")[:2]
)
os.environ["VIDSHIFT_TEST_EMITTERS"] = (
    " --xla_cpu_use_fusion_emitters=false" if JAXLIB < (0, 11) else ""
)

from vidshift.command_line.quiet import quiet_plugins

quiet_plugins()  # before jax is imported

from jaxtyping import install_import_hook

# Triton reads the text of its kernels, which have to be left as they are.
VIDSHIFT = Path(__file__).parents[1] / "vidshift"
CHECKED = [
    ".".join(file.relative_to(VIDSHIFT.parent).with_suffix("").parts)
    for folder in (VIDSHIFT.glob("*"), VIDSHIFT.glob("kernels/**/*.py"))
    for file in folder
    if file.stem not in ("__init__", "__pycache__", "kernels")
    and not re.fullmatch(r"gpu_\w*kernels", file.stem)
]
# Before anything of ours is imported, so that every annotated function is checked.
install_import_hook(
    CHECKED,
    # An int is a float, as PEP 484 has it.
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

import jax
import pytest

# Tracing makes many objects that live on, which Python would walk over and over again.
gc.set_threshold(50_000, 20, 50)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Programs are compiled once a session, whichever worker or command meets them first.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
if os.environ["JAX_PLATFORMS"] == "cpu":
    # Compiling takes longer than computing; `optimised` turns it off.
    jax.config.update("jax_disable_most_optimizations", True)
    # JAX reads the flag as it starts; libtpu, which does not know it and reads the
    # environment later, would abort.
    FLAGS = os.environ["XLA_FLAGS"]
    os.environ["XLA_FLAGS"] += os.environ["VIDSHIFT_TEST_EMITTERS"]
    jax.devices()
    os.environ["XLA_FLAGS"] = FLAGS


def pytest_addoption(parser):
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="all cases of every test; without, of some tests a sample of their cases",
    )


# Before `-m` leaves out what is slow.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    def holds(item, mark) -> bool:
        names = mark.kwargs.get("but", ())
        return not any(fnmatchcase(item.callspec.id, name) for name in names)

    for item in items:
        item.own_markers = [
            mark
            for mark in item.own_markers
            if mark.name not in ("slow", "exhaustive") or holds(item, mark)
        ]
    # A case that is named on the command line runs.
    if config.getoption("exhaustive") or any("[" in name for name in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.fixture(scope="module")
def optimised():
    """Programs as users have them: for what is timed, counted or takes long."""
    before = jax.config.jax_disable_most_optimizations
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def devices():
    """The 8 CPU devices on one mesh axis, `data`."""
    from vidshift.devices.mesh import make_mesh

    return make_mesh()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory, data_dir):
    """The directory of a short run of `train.py` that nobody disturbed."""
    from tests.support.commands import train

    workdir = tmp_path_factory.mktemp("run")
    train(workdir, data_dir)
    return workdir


@pytest.fixture
def here(monkeypatch):
    """Preparations decode in this process."""
    from tests.data.preparation.test_prepare import one_process
    from vidshift.data.preparation import build

    monkeypatch.setattr(build, "results", one_process)


@pytest.fixture(scope="session")
def image() -> bytes:
    """A grey JPEG."""
    from PIL import Image

    from tests.data.preparation.test_prepare import SIDE

    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (60, 60, 60)).save(file, "JPEG")
    return file.getvalue()
