"""`shift3d_conv`: values and gradients, against the composition's own derivatives."""

import functools

import jax
import jax.numpy as jnp
import pytest

from tests.support.pallas import on_cpu
from tests.support.shift3d_conv_reference import (
    arguments,
    by_autodiff,
    check_close,
    gradients_of,
)
from vidshift.kernels import shift3d_conv
from vidshift.kernels.interpolated_conv import tpu
from vidshift.kernels.interpolated_conv.tpu_plan import make_conv_plan

pytestmark = pytest.mark.slow

# name -> (x, K, options)
CASES = {
    "plain": ((2, 4, 3, 5, 6), 5, {}),
    "one_frame": ((3, 1, 4, 3, 7), 3, {"relu": True}),
    "strided": ((1, 3, 5, 6, 5), 9, {"stride": (1, 2, 2), "relu": True}),
    "frames_strided": ((2, 5, 3, 4, 4), 4, {"stride": (2, 1, 3)}),
    "rounded": ((2, 4, 4, 5, 6), 5, {"quantize": True, "relu": True}),
    "two_tiles": ((1, 8, 2, 2, 131), 6, {"relu": True}),
    "place": ((1, 1, 1, 1, 3), 2, {}),
    # Maps for `test_map_in_several_blocks`.
    "rows": ((1, 8, 11, 2, 3), 4, {"max_shift": (1.0, 2.0, 1.0)}),
    "rows_strided": ((1, 8, 13, 3, 4), 3, {"stride": (1, 2, 1)}),
}
# What runs with which implementation; "rows" below.
RUNS = {
    "xla": ("strided", "plain", "one_frame", "frames_strided", "rounded", "place"),
    "pallas_tpu": ("one_frame", "two_tiles", "strided", "frames_strided"),
}
PARAMETERS = [(i, n) for i in RUNS for n in RUNS[i]]
ONE = (1.0, 1.0, 1.0)


def check(implementation, name, dtype, max_shift=ONE, relu=True):
    shape, outputs, options = CASES[name]
    options = {"max_shift": max_shift} | options
    options["relu"] = relu and options.get("relu", False)
    args = arguments(shape, outputs, dtype, options)
    with on_cpu(implementation):
        run = functools.partial(
            gradients_of, shift3d_conv, implementation=implementation, **options
        )
        run = jax.jit(run)
        got = run(*args)
        again = run(*args) if name == "strided" else got
    check_close(got, by_autodiff(*args, **options), args)
    for a, b in zip(got, again, strict=True):  # the same from run to run
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(("implementation", "name"), PARAMETERS)
def test_equals_autodiff_of_the_composition(implementation, name):
    check(implementation, name, jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("implementation", "name"), [("xla", "strided"), ("pallas_tpu", "rounded")]
)
def test_in_bfloat16(implementation, name):
    """Without the relu, whose input's sign may be lost in the rounding."""
    check(implementation, name, jnp.bfloat16, relu=False)


@pytest.mark.slow
def test_without_a_bound():
    check("xla", "rounded", jnp.float32, max_shift=None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("rows", 4), ("rows_strided", 2)])
def test_map_in_several_blocks(monkeypatch, name, rows):
    """The TPU kernels then read halos, and rows beyond the map in their last block."""
    counts = []

    def in_blocks(*args, **options):
        plan = make_conv_plan(*args, **options)
        plan = plan._replace(rows=plan.rows._replace(rows=rows))
        assert plan.rows.sizes_out[0] % rows
        counts.append(plan.rows.blocks)
        return plan

    monkeypatch.setattr(tpu, "make_conv_plan", in_blocks)
    check("pallas_tpu", name, jnp.float32)
    assert min(counts) > 2
