"""Compiles a test's programs for a chip that is not here, in a process of their own."""

import os
import subprocess
import sys

import pytest

from tests.support.files import ROOT
from vidshift.kernels.analysis import chips

# JAX must not have started before the chip is described.
BEGIN = """
import jax, jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from vidshift.kernels import shift3d, shift3d_conv, temporal_shift, temporal_shift_conv
from vidshift.kernels.analysis import chips
from vidshift.kernels.triton_gpu import compiling_for
chip = chips.CHIPS[{target!r}]
sharding = SingleDeviceSharding(chips.describe({target!r}))
def array(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
def compiled(program, *arrays):
    with compiling_for(chip.compute_capability):
        traced = program.trace(*arrays)
        return traced.lower(lowering_platforms=(chip.platform,)).compile()
"""


def check_for(target: str, script: str) -> None:
    """Runs a script that asserts what `compiled` gives for the chip."""
    if why := chips.missing(target):
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-c", BEGIN.format(target=target) + script + "\nprint('end')"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("end\n"), done.stdout + done.stderr
