"""`import vidshift` is quick, networks load jax and flax alone, names are imported late."""

import json
import os
import re
import resource
import statistics
import subprocess
import sys

import pytest

import vidshift
from tests.support.files import ROOT
from vidshift import data, export, kernels, stream

JAX_AND_FLAX = "import jax; from flax import nnx"
TOUCHED = """import vidshift
vidshift.create, vidshift.BACKBONES, vidshift.SCHEMES, vidshift.train_view
vidshift.load_torch
"""
BUILT = """
vidshift.create("resnet_tiny", "tsm", num_classes=2, num_frames=8)
"""
PACKAGES = """
import json, sys
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def packages(code: str) -> set[str]:
    names = set(json.loads(run(code + PACKAGES)))
    return names - sys.stdlib_module_names - {"vidshift"}


@pytest.mark.slow
def test_networks_load_jax_and_flax_alone():
    # jaxtyping has no imports but these; the signatures are written with it.
    allowed = packages(JAX_AND_FLAX) | {"jaxtyping"}
    assert packages(TOUCHED + BUILT) <= allowed


def test_import_vidshift_does_not_import_jax():
    """A command reads its arguments before jax is imported."""
    assert packages("import vidshift") <= packages("")


@pytest.mark.slow
def test_networks_are_imported_about_as_fast_as_jax_and_flax():
    def cpu_seconds(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    run(TOUCHED)  # once, for the byte code
    ours, theirs = (
        statistics.median(cpu_seconds(code) for _ in range(3))
        for code in (TOUCHED, JAX_AND_FLAX)
    )
    assert ours < 1.5 * theirs  # 1.2 where it was measured


@pytest.mark.parametrize("package", [vidshift, data, export, stream])
def test_every_public_name_is_found_by_itself(package):
    assert package.__dir__() == sorted(package.__all__)
    for name in package.__all__:
        # Not `getattr` alone, which finds a submodule that something else imported.
        assert package.__getattr__(name) is getattr(package, name)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'vidshift' has no attribute 'creat'"):
        vidshift.creat()


@pytest.mark.parametrize("package", [vidshift, export, kernels, stream])
def test_every_public_name_is_in_the_program_that_pyright_checks(package):
    text = (ROOT / "tests" / "typed_use.py").read_text()
    used = set(re.findall(r"\w+", text))
    assert set(package.__all__) <= used
