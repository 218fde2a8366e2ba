"""All Pallas kernels on two cores, with all their flags; and that the interpreter tells."""

import ast
import functools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from tests.support.files import ROOT
from tests.support.pallas import on_cpu, strictly_interpreted
from vidshift.kernels import (
    Frames,
    shift3d,
    shift3d_conv,
    temporal_shift,
    temporal_shift_conv,
)
from vidshift.kernels.temporal import tpu

KERNELS = {
    node.name
    for file in ROOT.glob("vidshift/kernels/*/tpu_kernels.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_kernel")
}
ONE = {"max_shift": (1.0, 1.0, 1.0)}
RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape, np.float32))


def moved(x, *weight, **options):
    f = temporal_shift_conv if weight else temporal_shift
    return f(Frames.of(x), *weight, fold=1, **options).clips()


# name -> (function, its arrays, options)
INTERPOLATED = (normal(2, 8, 1, 1, 3), normal(3, 3) / 4)  # two groups of clips
FEW, MANY = (2, 4, 1, 2, 3), (16, 8, 1, 2, 3)  # rows: a tile, and all 128 lanes
CASES = {
    "shift3d": (shift3d, INTERPOLATED, ONE),
    "shift3d_whole": (*(shift3d, INTERPOLATED, ONE | {"quantize": True}),),
    "shift3d_conv": (shift3d_conv, (*INTERPOLATED, normal(3, 2)), ONE | {"relu": True}),
    "shift3d_conv_whole": (
        shift3d_conv,
        (*INTERPOLATED, normal(3, 2)),
        ONE | {"quantize": True},
    ),
    "temporal_shift": (moved, (normal(*FEW),), {}),
    "temporal_shift_conv": (moved, (normal(*FEW), normal(3, 2)), {}),
    "temporal_shift_conv_in_lanes": (
        moved,
        (normal(*MANY), normal(3, 2)),
        {"relu": True},
    ),
}


@pytest.fixture
def noted(monkeypatch):
    """Notes of each kernel that runs: its name, its flags, the programs that cores share."""
    notes, pallas_call = [], pl.pallas_call

    def call(kernel, *args, grid, compiler_params, **options):
        axes = zip(grid, compiler_params.dimension_semantics, strict=True)
        shared = [size for size, kind in axes if kind == "parallel"]
        flags = {k: v for k, v in kernel.keywords.items() if isinstance(v, bool)}
        notes.append((kernel.func.__name__, flags, shared))
        of = {"grid": grid, "compiler_params": compiler_params, **options}
        return pallas_call(kernel, *args, **of)

    monkeypatch.setattr(pl, "pallas_call", call)
    return notes


@pytest.mark.slow
def test_every_kernel_on_two_cores_with_every_flag(noted, monkeypatch):
    for name, (f, arrays, options) in CASES.items():
        rows = np.prod(arrays[0].shape[:2])
        monkeypatch.setattr(tpu, "BLOCK_BYTES", int(rows) * 128 * 4)  # one position
        results = []
        for implementation, cores in (("pallas_tpu", 2), ("xla", 1)):
            called = functools.partial(f, implementation=implementation, **options)
            with on_cpu(implementation, cores):
                y, vjp = jax.vjp(called, *arrays)
                results.append((y, *vjp(jnp.ones_like(y))))
        for got, want in zip(*results, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-5, err_msg=name)
    flags = defaultdict(lambda: defaultdict(set))
    for kernel, given, shared in noted:
        assert not shared or max(shared) == 2, (kernel, shared)
        flags[kernel]["has"].add(True)
        for flag, value in given.items():
            flags[kernel][flag].add(value)
    assert flags.keys() == KERNELS
    for kernel, values in flags.items():
        del values["has"]
        assert all(each == {False, True} for each in values.values()), (kernel, values)


BLOCK = pl.BlockSpec((8, 128), lambda i: (i, 0))
FIRST = pl.BlockSpec((8, 128), lambda i: (0, 0))


def add_kernel(x_ref, y_ref, scratch_ref):
    y_ref[...] = x_ref[...] + 0 * scratch_ref[...]


def first_rows_kernel(x_ref, y_ref, scratch_ref):
    scratch_ref[...] = x_ref[...]
    y_ref[...] = scratch_ref[...] + x_ref[pl.ds(pl.program_id(0), 8)]


def copy_kernel(x_ref, y_ref, scratch_ref):
    scratch_ref[...] = x_ref[...]
    y_ref[...] = scratch_ref[...]


def run(kernel, rows=16, out=BLOCK):
    return pl.pallas_call(
        kernel,
        grid=(2,),
        in_specs=[BLOCK],
        out_specs=out,
        out_shape=jax.ShapeDtypeStruct((16, 128), jnp.float32),
        scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(jnp.ones((rows, 128)))


def test_what_is_not_written_is_nan():
    with strictly_interpreted():
        assert np.isnan(run(add_kernel)).all()  # reads scratch
        y = run(copy_kernel, rows=12)  # the second block has rows beyond the array
        assert np.isnan(y[12:]).all() and not np.isnan(y[:12]).any()


def test_a_read_outside_of_a_block_is_an_error():
    with pytest.raises(Exception, match="[Oo]ut-of-bounds"), strictly_interpreted():
        jax.block_until_ready(run(first_rows_kernel))


def test_two_programs_that_write_one_block_are_an_error():
    with strictly_interpreted(cores=2):
        run(copy_kernel)
    # jax 0.12 raises by itself.
    with pytest.raises(Exception, match="a race|RACE"), strictly_interpreted(cores=2):
        jax.block_until_ready(run(copy_kernel, out=FIRST))
