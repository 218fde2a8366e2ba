"""The GPU kernels of `shift3d_conv`: compiled for an H100, and run from Triton's IR."""

import functools
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.support.absent_chips import check_for
from tests.support.dispatch import chosen
from tests.support.shift3d_conv_reference import EPS, arguments
from tests.support.ttir.launch import launches, needs_jax_triton, needs_triton
from vidshift.kernels.analysis.shapes import SHIFT3D
from vidshift.kernels.interpolated.taps import clamp
from vidshift.kernels.interpolated_conv import SHIFT3D_CONV, gpu, gpu_plan, shift3d_conv

pytestmark = pytest.mark.slow

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
        patch.setattr(gpu_plan, "PROGRAMS", PROGRAMS[name])
        y = gpu.forward(x, shift, weight, scale, bias, relu=relu, **of)
        dx, dshift, dweight = gpu.backward(x, shift, weight, dy, **of)
    return y, dx, dshift.sum(axis=0), dweight.sum(axis=0)


@functools.cache
def executed(name):
    """Results of the compiled kernels, and the bytes that each of the two moves."""
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
        plain = SHIFT3D_CONV.implementations["xla"].run
        y = plain["forward"](x, shift, weight, scale, bias, relu=relu, **of)
        dx, dshift, dweight = plain["backward"](x, shift, weight, dy, **of)
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
    monkeypatch.setattr(gpu_plan, "PROGRAMS", PROGRAMS[name])
    shape, outputs, dtype, *_ = CASES[name]
    itemsize, of = {"bfloat16": 2, "float32": 4}[dtype], options(name)
    del of["whole"]
    forward, weight = (
        gpu_plan.fetched_bytes(direction, shape, itemsize, out_channels=outputs, **of)
        for direction in ("forward", "weight")
    )
    plan = gpu_plan.make_conv_plan("forward", shape, outputs, itemsize, **of)
    _, measured_forward, measured_weight = executed(name)
    if name.startswith("near") and plan.tile.frames == shape[1]:
        assert measured_forward == forward
    else:  # the kernel leaves out taps that no channel of a block has
        assert measured_forward <= forward
    assert 0.5 * weight < measured_weight <= weight


@pytest.mark.parametrize("shape", SHIFT3D, ids=lambda s: s.name)
def test_choice_by_bytes(shape, triton_installed):
    """The maps are chosen for whose tiles have all outputs in one block."""
    c = shape.x[-1]
    arrays = [jax.ShapeDtypeStruct(shape.x, jnp.bfloat16)]
    arrays += [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((3, c), (c, c))]
    (name,) = chosen(
        "cuda", functools.partial(shift3d_conv, **shape.options), *arrays
    ).values()
    plan = gpu_plan.make_conv_plan("forward", shape.x, c, 2, **shape.options)
    if plan.blocks[1] == 1:
        assert name == "shift3d_conv_forward_triton"
    # At 7 x 7 both move as much, but for a hundredth or two.
    if plan.blocks[1] > 2 and shape.name != "rubiks_7":
        assert name == "shift3d_conv_forward_unfused_triton"


COMPILE = """
for c, k, shape, dtype, options in (
    (72, 72, (8, 8, 56, 56), "bfloat16", {"max_shift": (1.0,) * 3}),
    (54, 20, (1, 5, 9, 7), "float32", {"quantize": True}),
):
    def both(x, shift, weight, scale, bias, dy):
        f = lambda *a: shift3d_conv(
            *a[:3], scale=a[3], bias=a[4], implementation="triton", **options
        )
        y, vjp = jax.vjp(f, x, shift, weight, scale, bias)
        return y, *vjp(dy)
    x, dy = array(*shape, c, dtype=dtype), array(*shape, k, dtype=dtype)
    shared = array(3, c), array(c, k), array(k), array(k)
    text = compiled(jax.jit(both), x, *shared, dy).as_text()
    for direction in ("forward", "backward"):
        assert f"shift3d_conv_{direction}_triton" in text, direction
    # Forward, the weight's gradient, and the shift's own backward pass.
    calls = text.count('custom_call_target="triton_kernel_call"')
    assert calls == 3, calls
"""


@needs_jax_triton
def test_compiles_for_an_absent_h100():
    check_for("h100", COMPILE)


@needs_jax_triton
@pytest.mark.parametrize("direction", ["forward", "weight"])
@pytest.mark.parametrize("name", ["rubiks_56", "rubiks_14"])
def test_registers_suffice_at_named_shapes(name, direction):
    (shape,) = (shape for shape in SHIFT3D if shape.name == name)
    call = shape.options | {"out_channels": shape.x[-1]}
    assert gpu.resources(direction, shape.x, "bfloat16", **call)["spills"] == 0


@pytest.mark.parametrize(
    ("shape", "outputs", "message"),
    [
        ((1, 1, 2**11, 2**11, 2**4), 1024, "K=1024"),
        ((1, 1, 1, 1, 2**20), 2**20, "within the weight"),
    ],
)
def test_says_what_it_cannot_do(shape, outputs, message):
    shapes = (3, shape[-1]), (shape[-1], outputs)
    with pytest.raises(NotImplementedError, match=message):
        jax.eval_shape(
            functools.partial(shift3d_conv, implementation="triton"),
            jax.ShapeDtypeStruct(shape, jnp.bfloat16),
            *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes),
        )


@pytest.mark.parametrize("name", CASES)
def test_on_the_gpu_equals_the_reference(name):
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here (or VIDSHIFT_TEST_PLATFORM=cuda is not set)")
    _compare(name, launch(name))
