"""`shift3d` against the official CUDA kernel, run in float64."""

import itertools

import jax
import numpy as np
import pytest

from tests.support.files import GOLDEN
from tests.support.pallas import on_cpu
from tests.support.shift3d_reference import program

GOLDEN = GOLDEN / "rubiks_shift3d.npz"
WIDE = (2.5, 2.5, 2.5)


@pytest.mark.slow(but=("*-float64-*", "xla-max_shift*-2-*"))
@pytest.mark.parametrize(
    ("implementation", "max_shift", "dtype", "stride", "quantize"),
    [
        *itertools.product(["xla"], [None], ["float64"], [1, 2], [False, True]),
        *itertools.product(["xla"], [WIDE], ["float32"], [1, 2], [False, True]),
        ("pallas_tpu", WIDE, "float32", 2, False),
    ],
)
def test_golden(implementation, max_shift, dtype, stride, quantize):
    """The official kernel's output and gradients, before it normalises the shift's."""
    golden = np.load(GOLDEN)

    def load(name, tail=""):
        a = golden[f"s{stride}_{name}{tail}"]
        return a.transpose(0, 1, 3, 4, 2) if a.ndim == 5 else a  # N T C H W there

    args = [load(name).astype(dtype) for name in ("x", "shift", "gout")]
    with jax.enable_x64(dtype == "float64"), on_cpu(implementation):
        run = program(implementation, max_shift, (1, stride, stride), quantize)
        y, dx, dshift = run(*args)
    assert y.dtype == dx.dtype == dshift.dtype == dtype
    tail = "_quant" * quantize
    # Rounding shift, x and dy to float32 is part of the error.
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    for actual, expected in [
        (y, load("out", tail)),
        (dx, load("gx", tail)),
        (dshift, load("shift_grad_raw")),
    ]:
        atol = tolerance * np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)
