"""The GPU kernels of `shift3d`: compiled for an absent H100, and run from Triton's IR."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.support.absent_chips import check_for
from tests.support.shift3d_reference import read, spread
from tests.support.ttir.launch import launches, needs_jax_triton, needs_triton
from vidshift.kernels import shift3d
from vidshift.kernels.analysis.shapes import SHIFT3D
from vidshift.kernels.interpolated import gpu, gpu_plan, gpu_rows_plan, reference
from vidshift.kernels.interpolated.taps import clamp, nearest, out_sizes

ONE = (1.0, 1.0, 1.0)
# One rounding to the result's type.
RELATIVE = {"float32": 2e-6, "bfloat16": 2.0**-8}


class Case(NamedTuple):
    """A call; its shifts are drawn from `limit` on each axis and include the limits."""

    x: tuple[int, int, int, int, int]
    max_shift: tuple[float, float, float] | None = ONE
    stride: tuple[int, int, int] = (1, 1, 1)
    dtype: str = "float32"
    whole: bool = False
    limit: tuple[float, float, float] = ONE
    any_bits: bool = False  # x and dy, nan and inf among them, of which only y, dx tell
    nan: bool = False  # a shift of the last channel


CASES = {
    "rows": Case((2, 4, 6, 5, 8)),
    "rows_strips": Case((1, 2, 17, 17, 5)),
    "rows_channels": Case((1, 1, 2, 3, 150)),
    "rows_place": Case((2, 1, 1, 1, 7)),
    "rows_half": Case((1, 3, 4, 4, 6), max_shift=(0.5, 0.0, 1.0), limit=(0.5, 0.0, 1.0)),
    "rows_nan": Case((1, 2, 3, 4, 5), nan=True),
    "rows_frames": Case((1, 35, 2, 3, 2)),
    "rows_bfloat16": Case((2, 3, 9, 6, 20), dtype="bfloat16"),
    "rows_8_frames_bfloat16": Case((1, 8, 5, 4, 6), dtype="bfloat16"),
    "rows_11_frames_bfloat16": Case((1, 11, 3, 4, 6), dtype="bfloat16"),
    "rows_odd_channels_bfloat16": Case((1, 3, 9, 4, 9), dtype="bfloat16"),
    "rows_nan_bfloat16": Case((1, 2, 3, 4, 6), dtype="bfloat16", nan=True),
    "rows_whole": Case((1, 3, 4, 4, 9), whole=True),
    "rows_whole_nan": Case((1, 2, 3, 4, 5), whole=True, nan=True),
    "rows_whole_nan_bfloat16": Case((1, 2, 3, 4, 6), ONE, whole=True, nan=True, dtype="bfloat16"),
    "rows_whole_bits": Case((1, 2, 9, 4, 9), whole=True, any_bits=True),
    "rows_whole_bits_bfloat16": Case((1, 9, 9, 4, 10), dtype="bfloat16", whole=True, any_bits=True),
    "rows_whole_bits_odd_channels_bfloat16": Case((1, 3, 5, 4, 9), dtype="bfloat16", whole=True, any_bits=True),
    "rows_strided": Case((1, 3, 7, 6, 5), stride=(1, 2, 2)),
    "rows_strided_strips": Case((1, 2, 34, 33, 5), stride=(1, 2, 2)),
    "rows_strided_place": Case((2, 1, 1, 1, 7), stride=(1, 2, 2)),
    "rows_strided_frames_bfloat16": Case((1, 11, 4, 3, 6), ONE, (1, 2, 2), "bfloat16"),
    "rows_strided_odd_channels_bfloat16": Case((1, 2, 5, 4, 9), ONE, (1, 2, 2), "bfloat16"),
    "rows_strided_nan_bfloat16": Case((1, 2, 4, 5, 6), ONE, (1, 2, 2), "bfloat16", nan=True),
    "rows_strided_whole": Case((1, 3, 6, 5, 9), stride=(1, 2, 2), whole=True),
    "rows_strided_whole_bits_bfloat16": Case(
        (1, 3, 9, 5, 10), ONE, (1, 2, 2), "bfloat16", whole=True, any_bits=True
    ),
    "far": Case((1, 3, 5, 4, 5), max_shift=(2.0, 3.0, 1.5), limit=(2.0, 3.0, 1.5)),
    "far_strided": Case(
        (1, 3, 5, 4, 4), max_shift=(2.0, 3.0, 2.0), stride=(2, 3, 1), limit=(2, 3, 2)
    ),
    "far_frames_strided": Case((1, 4, 5, 5, 4), stride=(2, 1, 1)),
    "far_rows_strided": Case((1, 3, 5, 4, 9), stride=(1, 2, 1), whole=True),
    "far_tiles": Case((1, 1, 18, 19, 3), max_shift=(1.0, 2.0, 2.0), limit=(1, 2, 2)),
    "far_frames": Case((1, 17, 2, 2, 4), max_shift=(2.0, 0.0, 1.0), limit=(2, 0, 1)),
    "unbounded": Case((1, 3, 4, 5, 5), max_shift=None, limit=(3.5, 1.5, 2.5)),
    "unbounded_outside": Case((1, 2, 3, 4, 6), max_shift=None, limit=(3.0, 4.0, 5.0)),
    "unbounded_place": Case((1, 1, 1, 1, 3), max_shift=None),
    "unbounded_bfloat16": Case(
        (1, 3, 4, 5, 6), max_shift=None, dtype="bfloat16", limit=(2.5, 1.5, 1.5)
    ),
    "unbounded_nan": Case((1, 2, 3, 4, 5), max_shift=None, nan=True),
    "unbounded_whole_bits": Case(
        (1, 2, 3, 4, 9), None, whole=True, limit=(1.5, 2.5, 5.0), any_bits=True
    ),
    "far_whole_bits_strided": Case(
        (1, 4, 5, 6, 9), (2.0, 2.0, 2.0), (2, 3, 1), "bfloat16", True, (2, 2, 2), True
    ),
}  # fmt: skip
QUICK = (
    "rows_bfloat16",
    "rows_whole_nan",
    "rows_strided_whole_bits_bfloat16",
    "far_frames_strided",
    "unbounded_nan",
)
ALL_CASES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in CASES
]


def options(case: Case) -> dict:
    return {"stride": case.stride, "max_shift": case.max_shift, "whole": case.whole}


def inputs(case: Case):
    """x, shift, dy; x and dy are normal, or any bits."""
    rng = np.random.default_rng(sum(case.x))
    dtype = ml_dtypes.bfloat16 if case.dtype == "bfloat16" else np.float32
    out = (case.x[0], *out_sizes(case.x[1:4], case.stride), case.x[4])

    def features(shape):
        if not case.any_bits:
            return rng.standard_normal(shape).astype(dtype)
        return rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)

    x, dy = (
        np.frombuffer(f, dtype).reshape(s) if isinstance(f, bytes) else f
        for f, s in ((features(case.x), case.x), (features(out), out))
    )
    limit = np.float32(case.limit)[:, None]
    shift = rng.uniform(-limit, limit, (3, case.x[4])).astype(np.float32)
    # Kinks and ends: zero, a whole number, both limits.
    kinks = [0 * limit, np.ceil(-limit), -limit, limit][: case.x[4]]
    shift[:, : len(kinks)] = np.concatenate(kinks, axis=1)
    if case.nan:
        shift[sum(case.x) % 3, -1] = np.nan
    return x, shift, dy


def launch(name: str):
    """y, dx and the parts of dshift, by the kernels' launchers."""
    case = CASES[name]
    x, shift, dy = map(jnp.asarray, inputs(case))
    y = gpu.forward(x, shift, **options(case))
    return y, *gpu.backward(x, shift, dy, **options(case))


@functools.cache
def executed(name: str):
    """y, dx and dshift of the compiled kernels, and the bytes that both move."""
    with launches() as launched:
        y, dx, parts = map(np.asarray, launch(name))
    small = ("shift_ptr", "whole_ptr")
    moved = [each.moved_bytes(without=small) for each in launched]
    return y, dx, parts.sum(axis=0), moved


def moved(case: Case, x, shift, dy):
    """By plain NumPy, the bits of y and dx where shifts are whole."""
    taps = np.asarray(nearest(jnp.asarray(shift))).astype(int).T
    x, dy = _bits(x), _bits(dy)
    y = [read(x[..., c], tap, case.stride) for c, tap in enumerate(taps)]
    dx = [
        spread(dy[..., c], tap, case.stride, case.x[:4]) for c, tap in enumerate(taps)
    ]
    return np.stack(y, axis=-1), np.stack(dx, axis=-1)


def by_plain_jax(case: Case, x, shift, dy):
    """By plain JAX, in float64."""

    @jax.jit
    def run(x, shift, dy):
        dx, parts = reference.backward(x, shift, dy, **options(case))
        return reference.forward(x, shift, **options(case)), dx, parts.sum(axis=0)

    with jax.enable_x64(True):
        wide = (a.astype(np.float64) for a in (x, shift, dy))
        return [np.asarray(a) for a in run(*wide)]


@needs_triton
@pytest.mark.parametrize("name", ALL_CASES)
def test_compiled_kernel_equals_the_reference(name):
    _compare(CASES[name], *executed(name)[:3])


def _compare(case: Case, y, dx, dshift):
    x, shift, dy = inputs(case)
    y, dx, dshift = map(np.asarray, (y, dx, dshift))
    if case.any_bits:
        for got, want in zip((y, dx), moved(case, x, shift, dy), strict=True):
            np.testing.assert_array_equal(_bits(got), want)
        return
    expected_y, expected_dx, expected_dshift = by_plain_jax(case, x, shift, dy)
    of = {"rtol": RELATIVE[case.dtype], "atol": 4e-6}
    np.testing.assert_allclose(y.astype(np.float64), expected_y, **of)
    np.testing.assert_allclose(dx.astype(np.float64), expected_dx, **of)
    # Exactly at an upper bound the public function says zero. A nan shows in y.
    alive = np.asarray(clamp(jnp.asarray(shift), case.max_shift)[1])
    alive = alive & ~np.isnan(shift).any(axis=0)
    np.testing.assert_allclose(
        np.where(alive, dshift, 0),
        np.where(alive, expected_dshift, 0),
        rtol=1e-5,
        atol=1e-6 * np.sqrt(x.size) * 4,
    )


def _bits(features):
    return np.asarray(features).view(f"u{features.dtype.itemsize}")


@needs_triton
@pytest.mark.parametrize("name", ALL_CASES)
def test_fetched_bytes_are_those_of_the_programs(name):
    case = CASES[name]
    itemsize = 2 if case.dtype == "bfloat16" else 4
    given = {"stride": case.stride, "max_shift": case.max_shift}
    counted = [
        gpu_plan.fetched_bytes(direction, case.x, itemsize, **given)
        for direction in ("forward", "backward")
    ]
    measured = executed(name)[3]
    if name.startswith("rows") or "outside" in name:
        assert measured == counted
    else:  # the kernel leaves out taps that no channel of a block has
        assert all(m <= c for m, c in zip(measured, counted, strict=True))


COMPILE = """
ONE = (1.0, 1.0, 1.0)
for dtype, name, shape, options in [
    ("bfloat16", "triton", (2, 8, 14, 14, 72), {"max_shift": ONE}),
    ("float32", None, (2, 8, 14, 14, 72),
     {"max_shift": ONE, "stride": (1, 2, 2), "quantize": True}),
    ("float32", "triton", (1, 5, 9, 7, 54), {"stride": (2, 3, 1)}),
    ("bfloat16", None, (1, 1, 1, 1, 3), {"quantize": True}),
]:
    f = lambda x, s: shift3d(x, s, implementation=name, **options)
    def both(x, s, dy):
        y, vjp = jax.vjp(f, x, s)
        return y, *vjp(dy)
    x, s = array(*shape, dtype=dtype), array(3, shape[-1])
    dy = array(*jax.eval_shape(f, x, s).shape, dtype=dtype)
    text = compiled(jax.jit(both), x, s, dy).as_text()
    assert "shift3d_forward_triton" in text, text
    assert "shift3d_backward_triton" in text, text
"""


@needs_jax_triton
@pytest.mark.slow
def test_compiles_for_an_absent_h100():
    check_for("h100", COMPILE)


@needs_jax_triton
@pytest.mark.slow
@pytest.mark.exhaustive(
    but=(
        "rubiks_56-*",
        "rubiks_14_stride-*",
        "rubiks_28_wide-*",
        "rubiks_112_stride-bfloat16-backward",  # the largest map
        "rubiks_tiny_56-float32-backward",  # channels no power of two
    )
)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHIFT3D, ids=lambda s: s.name)
def test_registers_suffice_at_the_named_shapes(shape, dtype, direction):
    assert gpu.resources(direction, shape.x, dtype, **shape.options)["spills"] == 0


# At most, for an element of the result. With a stride, that of y is made of four of x.
INSTRUCTIONS = {
    "rubiks_56": {"forward": 20, "backward": 35},
    "rubiks_28": {"forward": 20, "backward": 35},
    "rubiks_14": {"forward": 20, "backward": 35},
    "rubiks_56_stride": {"forward": 30, "backward": 13},
}


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_are_few_and_loads_are_wide(name, direction):
    (shape,) = (s for s in SHIFT3D if s.name == name)
    taken = gpu.resources(direction, shape.x, "bfloat16", **shape.options)
    assert taken["instructions"] <= INSTRUCTIONS[name][direction]
    assert taken["spills"] == 0
    # What the plan counts on; of two at least one computes while the other one waits.
    assert taken["programs_an_sm"] >= gpu_rows_plan.PROGRAMS[direction] >= 2
    assert taken["lanes"] >= 0.95
    assert taken["sectors"] >= 0.95 and taken["narrow"] == 0


def test_says_what_it_cannot_do():
    x = jax.ShapeDtypeStruct((1, 1, 2**11, 2**11, 2**10), jnp.bfloat16)
    with pytest.raises(NotImplementedError, match="32 bits"):
        jax.eval_shape(
            functools.partial(shift3d, implementation="triton"),
            *(x, jax.ShapeDtypeStruct((3, 2**10), jnp.float32)),
        )


@pytest.mark.parametrize("name", CASES)
def test_on_the_gpu_equals_the_reference(name):
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here (or VIDSHIFT_TEST_PLATFORM=cuda is not set)")
    case = CASES[name]
    x, shift, dy = map(jnp.asarray, inputs(case))
    shifted = functools.partial(
        shift3d,
        implementation="triton",
        stride=case.stride,
        max_shift=case.max_shift,
        quantize=case.whole,
    )
    y, vjp = jax.vjp(shifted, x, shift)
    _compare(case, y, *vjp(dy))
