"""The GPU kernels of `shift3d_conv`: compiled for an H100, and run from Triton's IR."""

import functools
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from kernels.analysis import chips
from kernels.analysis.shapes import SHIFT3D
from kernels.interpolated import conv_xla, gpu, gpu_conv
from kernels.interpolated.taps import clamp
from tests.support.files import ROOT
from tests.support.shift3d_conv_reference import EPS, arguments
from tests.support.ttir.launch import launches, needs_triton

pytestmark = pytest.mark.slow

MISSING = gpu.missing(jnp.zeros((1, 1, 1, 1, 1)), stride=(1, 1, 1), max_shift=None)
needs_jax_triton = pytest.mark.skipif(
    bool(MISSING), reason=f"the kernels for a GPU: {MISSING}"
)
ONE = (1.0, 1.0, 1.0)
# name -> (x, K, dtype, relu, options of the implementations). Near and far, ragged and in
# several blocks of channels and of outputs.
CASES = {
    "near": ((2, 3, 4, 5, 20), 7, "float32", True, {}),
    "near_strided": ((1, 2, 5, 6, 5), 18, "float32", False, {"stride": (1, 2, 2)}),
    "near_whole": ((1, 3, 4, 4, 9), 5, "float32", True, {"whole": True}),
    "near_bfloat16": ((1, 3, 4, 4, 18), 6, "bfloat16", False, {}),
    "near_outputs": ((1, 1, 2, 3, 40), 260, "float32", True, {}),
    "near_tiles": ((1, 2, 9, 9, 4), 3, "float32", False, {}),
    "far": ((1, 4, 4, 5, 5), 6, "float32", True, {"max_shift": (2.0, 1.5, 3.0)}),
    "far_strided": ((1, 5, 5, 6, 4), 5, "float32", False, {"stride": (2, 3, 1)}),
    "unbounded": ((1, 3, 4, 5, 18), 4, "float32", True, {"max_shift": None}),
    "unbounded_whole": (
        (1, 3, 4, 5, 6), 4, "bfloat16", False, {"max_shift": None, "whole": True}
    ),
    "near_whole_bfloat16": ((1, 2, 3, 3, 5), 4, "bfloat16", False, {"whole": True}),
    "far_whole": (
        (1, 2, 3, 3, 5), 3, "float32", True, {"max_shift": (1, 2, 1), "whole": True}
    ),
}  # fmt: skip
# Of a GPU: few of them have several tiles each, many have single frames.
PROGRAMS = dict.fromkeys(CASES, 2) | {"near": 264}


def options(name) -> dict:
    of = {"stride": (1, 1, 1), "max_shift": ONE, "whole": False}
    return of | CASES[name][4]


def inputs(name):
    """x, shift, weight, scale, bias, dy, as the implementations take them."""
    shape, outputs, dtype, *_ = CASES[name]
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32
    with jax.ensure_compile_time_eval():
        args = arguments(shape, outputs, jnp.dtype(dtype), options(name))
        args = [np.array(a) for a in args]
    # Kinks and ends: zero, a whole number, a limit.
    args[1][:, :3] = np.float32([[0, 1, -1]] * 3)[:, :3]
    args[2] = args[2].astype(dtype)
    return args


def launch(name):
    """y, dx, dshift and dweight, by the kernels' launchers."""
    of, relu = options(name), CASES[name][3]
    x, shift, weight, scale, bias, dy = map(jnp.asarray, inputs(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_conv, "PROGRAMS", PROGRAMS[name])
        y = gpu_conv.forward(x, shift, weight, scale, bias, relu=relu, **of)
        dx, dshift, dweight = gpu_conv.backward(x, shift, weight, dy, **of)
    return y, dx, dshift.sum(axis=0), dweight.sum(axis=0)


@functools.cache
def executed(name):
    """What the compiled kernels make, and the bytes that each of the two moves."""
    with launches() as launched:
        results = list(map(np.asarray, launch(name)))
    small = ("shift_ptr", "weight_ptr", "scale_ptr", "bias_ptr")
    moved = {each.kernel: each.moved_bytes(without=small) for each in launched}
    return results, moved["conv_forward_kernel"], moved["conv_weight_kernel"]


def reference(name):
    """By plain JAX, in float64."""
    of, relu = options(name), CASES[name][3]

    @jax.jit
    def run(x, shift, weight, scale, bias, dy):
        y = conv_xla.forward(x, shift, weight, scale, bias, relu=relu, **of)
        dx, dshift, dweight = conv_xla.backward(x, shift, weight, dy, **of)
        return y, dx, dshift.sum(axis=0), dweight.sum(axis=0)

    with jax.enable_x64(True):
        wide = [jnp.asarray(a.astype(np.float64)) for a in inputs(name)]
        return [np.asarray(a) for a in run(*wide)]


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_compiled_kernel_equals_the_reference(name):
    _compare(name, executed(name)[0])


def _compare(name, got):
    x, shift, *_, dy = inputs(name)
    # The factors of a product of float32 are cut off to TF32, which has 10 bits.
    eps = max(EPS[x.dtype.name], 2.0**-10)
    places = math.prod(dy.shape[:4])
    terms = (x.shape[4], 8 * dy.shape[4], places * dy.shape[4], places)
    want = reference(name)
    # Exactly at an upper bound the public function says zero.
    alive = np.asarray(clamp(jnp.asarray(shift), options(name)["max_shift"])[1])
    for i, (n, g, w) in enumerate(zip(terms, got, want, strict=True)):
        g = np.asarray(g).astype(np.float64)
        g, w = (g * alive, w * alive) if i == 2 else (g, w)
        assert np.any(w)
        np.testing.assert_allclose(g, w, rtol=2 * eps, atol=2 * eps * np.sqrt(n))


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_fetched_bytes_are_those_of_the_programs(name, monkeypatch):
    monkeypatch.setattr(gpu_conv, "PROGRAMS", PROGRAMS[name])
    shape, outputs, dtype, *_ = CASES[name]
    itemsize, of = {"bfloat16": 2, "float32": 4}[dtype], options(name)
    del of["whole"]
    forward, weight = (
        gpu_conv.fetched_bytes(direction, shape, outputs, itemsize, **of)
        for direction in ("forward", "weight")
    )
    plan = gpu_conv._plan("forward", shape, outputs, itemsize, *of.values())
    _, measured_forward, measured_weight = executed(name)
    if name.startswith("near") and plan.tile.frames == shape[1]:
        assert measured_forward == forward
    else:  # the kernel leaves out taps that no channel of a block has
        assert measured_forward <= forward
    assert 0.5 * weight < measured_weight <= weight


@pytest.mark.parametrize("shape", SHIFT3D, ids=lambda s: s.name)
def test_choice_by_bytes(shape):
    """The maps are chosen for whose tiles have all outputs in one block."""
    outputs = shape.x[-1]
    called = (shape.x, outputs, 2, "forward", *shape.options.values())
    plan = gpu_conv._plan("forward", shape.x, outputs, 2, *shape.options.values())
    if plan.blocks[1] == 1:
        assert gpu_conv.moves_fewer_bytes(*called)
    if plan.blocks[1] > 2:
        assert not gpu_conv.moves_fewer_bytes(*called)


# Compiles both directions for an H100, in a process whose JAX has not started.
COMPILE = """
import sys, jax, jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from kernels import chips
from kernels.interpolated import gpu, shift3d_conv
sharding = SingleDeviceSharding(chips.describe("h100"))
def compiled(shape, outputs, dtype, **options):
    options["implementation"] = "triton"
    def both(x, shift, weight, scale, bias, dy):
        f = lambda *a: shift3d_conv(*a[:3], scale=a[3], bias=a[4], **options)
        y, vjp = jax.vjp(f, x, shift, weight, scale, bias)
        return y, *vjp(dy)
    def of(shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
    c, k = shape[-1], outputs
    x = of(shape, dtype), of((3, c)), of((c, k)), of((k,)), of((k,))
    dy = of((*shape[:4], k), dtype)
    with gpu.compiling_for(90):
        program = jax.jit(both).trace(*x, dy).lower(lowering_platforms=("cuda",))
        return program.compile().as_text()
for text in (
    compiled((8, 8, 56, 56, 72), 72, "bfloat16", max_shift=(1.0,) * 3),
    compiled((1, 5, 9, 7, 54), 20, "float32", quantize=True),
):
    for direction in ("forward", "backward"):
        assert f"shift3d_conv_{direction}_triton" in text, direction
    # Forward, the weight's gradient, and the shift's own backward pass.
    calls = text.count('custom_call_target="triton_kernel_call"')
    assert calls == 3, calls
print("compiled")
"""


@needs_jax_triton
def test_compiles_for_an_absent_h100():
    if why := chips.missing("h100"):
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("compiled\n"), done.stdout + done.stderr


@needs_jax_triton
@pytest.mark.parametrize("direction", ["forward", "weight"])
@pytest.mark.parametrize("name", ["rubiks_56", "rubiks_14"])
def test_registers_suffice_at_named_shapes(name, direction):
    (shape,) = (shape for shape in SHIFT3D if shape.name == name)
    call = direction, shape.x, shape.x[-1], "bfloat16"
    assert gpu_conv.resources(*call, **shape.options)["spills"] == 0


def test_says_what_is_missing():
    x = jax.ShapeDtypeStruct((1, 1, 2**11, 2**11, 2**4), jnp.bfloat16)
    of = {"stride": (1, 1, 1), "max_shift": None}
    assert "K=1024" in gpu_conv.missing(x, 1024, **of)
    x = jax.ShapeDtypeStruct((1, 1, 1, 1, 2**20), jnp.bfloat16)
    assert "within the weight" in gpu_conv.missing(x, 2**20, **of)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_on_the_gpu_equals_the_reference(name):
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here (or VIDSHIFT_TEST_PLATFORM=cuda is not set)")
    _compare(name, launch(name))
