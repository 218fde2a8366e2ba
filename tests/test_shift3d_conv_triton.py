"""The GPU kernels of `shift3d_conv`: interpreted on the CPU, compiled for an absent H100."""

import importlib.util
import json
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from kernels import chips
from kernels.interpolated import conv_xla, gpu, gpu_conv
from kernels.interpolated.taps import clamp
from kernels.shapes import SHIFT3D
from tests.commands import ROOT
from tests.shift3d_conv_reference import EPS, arguments

pytestmark = pytest.mark.slow

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="triton is not installed (it is for Linux)",
)
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
    args = [
        np.array(a) for a in arguments(shape, outputs, jnp.dtype(dtype), options(name))
    ]
    # Kinks and ends: zero, a whole number, a limit.
    args[1][:, :3] = np.float32([[0, 1, -1]] * 3)[:, :3]
    args[2] = args[2].astype(dtype)
    return args


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """Name of a case -> y, dx, dshift, dweight and both kernels' bytes."""
    return _interpret(CASES, tmp_path_factory.mktemp("triton"))


def _interpret(names, folder) -> dict:
    """All in one process of Triton's interpreter."""
    arrays, described = {}, []
    for i, name in enumerate(names):
        _, _, dtype, relu, _ = CASES[name]
        bits = np.uint16 if dtype == "bfloat16" else np.uint32
        keys = ("x", "shift", "weight", "scale", "bias", "dy")
        for key, array in zip(keys, inputs(name), strict=True):
            narrow = key in ("x", "weight", "dy")
            arrays[f"{key}{i}"] = array.view(bits) if narrow else array
        described.append(
            options(name) | {"dtype": dtype, "relu": relu, "programs": PROGRAMS[name]}
        )
    np.savez(folder / "cases.npz", cases=json.dumps(described), **arrays)
    done = subprocess.run(
        [sys.executable, "-m", "tests.shift3d_conv_triton", "cases.npz", "results.npz"],
        cwd=folder,
        env=os.environ | {
            "TRITON_INTERPRET": "1", "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = np.load(folder / "results.npz")
    return {
        name: [
            results[f"{key}{i}"] for key in ("y", "dx", "dshift", "dweight", "bytes")
        ]
        for i, name in enumerate(names)
    }


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
def test_interpreted_kernel_equals_the_reference(name, interpreted):
    args = inputs(name)
    x, dy = args[0], args[-1]
    places = math.prod(dy.shape[:4])
    # Interpreted, a rounding to bfloat16 cuts off.
    eps = 2 * EPS[x.dtype.name]
    terms = (x.shape[4], 8 * dy.shape[4], places * dy.shape[4], places)
    results, expected = interpreted[name][:4], reference(name)
    # Exactly at an upper bound the public function says zero.
    alive = np.asarray(clamp(jnp.asarray(args[1]), options(name)["max_shift"])[1])
    results[2], expected[2] = results[2] * alive, expected[2] * alive
    for n, got, want in zip(terms, results, expected, strict=True):
        numbers = got.view(x.dtype) if got.dtype != np.float32 else got
        assert np.any(want)
        np.testing.assert_allclose(
            numbers.astype(np.float64), want, rtol=4 * eps, atol=4 * eps * np.sqrt(n)
        )


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_fetched_bytes_are_those_of_the_programs(name, interpreted, monkeypatch):
    monkeypatch.setattr(gpu_conv, "PROGRAMS", PROGRAMS[name])
    shape, outputs, dtype, *_ = CASES[name]
    itemsize, of = {"bfloat16": 2, "float32": 4}[dtype], options(name)
    del of["whole"]
    forward, weight = (
        gpu_conv.fetched_bytes(direction, shape, outputs, itemsize, **of)
        for direction in ("forward", "weight")
    )
    plan = gpu_conv._plan("forward", shape, outputs, itemsize, *of.values())
    forward += plan.tiles * 2 * outputs * 4  # scale and bias
    measured = interpreted[name][4].tolist()
    if name.startswith("near") and plan.tile.frames == shape[1]:
        assert measured[0] == forward
    else:  # the kernel leaves out taps that no channel of a block has
        assert measured[0] <= forward
    assert 0.5 * weight < measured[1] <= weight


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
    of, relu, args = options(name), CASES[name][3], inputs(name)
    x, shift, weight, scale, bias, dy = map(jnp.asarray, args)
    got = [
        gpu_conv.forward(x, shift, weight, scale, bias, relu=relu, **of),
        *gpu_conv.backward(x, shift, weight, dy, **of),
    ]
    # Factors are rounded to TF32, which has 10 bits.
    eps = max(EPS[x.dtype.name], 2.0**-11)
    places = math.prod(dy.shape[:4])
    terms = (x.shape[4], 8 * dy.shape[4], places * dy.shape[4], places)
    want = reference(name)
    alive = np.asarray(clamp(shift, of["max_shift"])[1])
    got[2:] = [g.sum(axis=0) for g in got[2:]]
    got[2], want[2] = got[2] * alive, want[2] * alive
    for n, g, w in zip(terms, got, want, strict=True):
        g = np.asarray(g.astype(jnp.float32))
        np.testing.assert_allclose(g, w, rtol=4 * eps, atol=4 * eps * np.sqrt(n))
