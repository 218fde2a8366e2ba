"""`shift3d`: its values and gradients against the definition, over shapes and types."""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.kernels.temporal.test_shift import random_bits
from tests.support.pallas import on_cpu
from tests.support.shift3d_reference import (
    BOUND,
    PROGRAMS,
    SHAPE,
    STRIDE,
    by_corners,
    close_sums,
    close_values,
    dx_by_corners,
    normals,
    out_shape,
    program,
    random_shift,
    read,
    right_derivative,
    spread,
)
from vidshift.kernels import shift3d
from vidshift.kernels.interpolated import tpu_plan


class Case(NamedTuple):
    name: str
    shape: tuple[int, int, int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    bound: tuple[float, float, float] = BOUND
    dtype: str = "float32"
    quick: bool = False  # bounded too, "pallas_tpu" among them


CASES = [
    Case("usual", SHAPE, STRIDE, quick=True),
    Case("usual_bfloat16", SHAPE, STRIDE, dtype="bfloat16"),
    Case("no_stride", (2, 4, 5, 6, 7)),
    Case("one_frame", (1, 1, 5, 7, 3)),
    Case("one_place", (2, 3, 1, 1, 5)),
    Case("one_channel", (1, 5, 4, 3, 1), (1, 2, 2)),
    Case("stride_in_time", (1, 5, 7, 6, 3), (2, 3, 1)),
    Case("stride_beyond_the_map", (1, 2, 3, 2, 4), (3, 4, 5)),
    Case("shift_beyond_the_map", (1, 3, 4, 5, 9), (1, 2, 1), (4.0, 6.5, 7.0)),
    Case("many_channels", (1, 9, 4, 3, 130), dtype="bfloat16"),
]


# The TPU's kernel is interpreted, which takes long; other cases say as much.
NOT_INTERPRETED = [
    f"{name}-pallas_tpu" for name in ("usual_bfloat16", "no_stride", "one_channel")
]


def rows():
    """Each case with each implementation, with the bound given and without."""
    for case, (implementation, max_shift) in itertools.product(
        CASES, PROGRAMS.values()
    ):
        max_shift = max_shift and tuple(b + 0.5 for b in case.bound)
        name = implementation if max_shift is None else f"{implementation}_bounded"
        if f"{case.name}-{implementation}" in NOT_INTERPRETED:
            continue
        slow = max_shift is not None and not case.quick or case.name == "many_channels"
        yield pytest.param(
            case,
            implementation,
            max_shift,
            id=f"{case.name}-{name}",
            marks=pytest.mark.slow if slow else (),
        )


def check(case: Case, implementation: str, max_shift) -> None:
    shape, stride = case.shape, case.stride
    shift = random_shift(case.bound, shape[-1])
    x = jnp.asarray(normals(shape), case.dtype)
    dy = jnp.asarray(normals(out_shape(shape, stride), 2), case.dtype)
    with on_cpu(implementation):
        y, dx, dshift = program(implementation, max_shift, stride)(x, shift, dy)
    assert y.dtype == dx.dtype == case.dtype and dshift.dtype == jnp.float32
    close_values(y, by_corners(x, shift, stride))
    close_values(dx, dx_by_corners(dy, shift, stride, shape))
    # The same tolerance for bfloat16: its values are summed in float32.
    close_sums(dshift, right_derivative(x, shift, dy, stride), dy)


@pytest.mark.parametrize(("case", "implementation", "max_shift"), list(rows()))
def test_definition(case, implementation, max_shift):
    check(case, implementation, max_shift)


@pytest.mark.slow
@pytest.mark.parametrize(("reach", "stride"), [(1.0, 2), (2.0, 1)])
def test_map_in_several_blocks(monkeypatch, reach, stride):
    """The TPU kernel then reads halos, and rows beyond the map in its last block."""
    shape, max_shift = (1, 8, 25, 2, 3), (1.0, reach, 1.0)
    strides = (1, stride, 1)
    plan = functools.partial(tpu_plan.make_plan, shape, 4, strides, max_shift)
    one_block = plan(backward=True)._replace(rows=-(-25 // stride))
    room = tpu_plan._vmem(one_block, 4, True)
    monkeypatch.setattr(tpu_plan, "VMEM_BYTES", room // 4)
    assert plan(backward=True).blocks > 2 and plan(backward=False).blocks > 2
    case = Case("blocks", shape, strides, bound=tuple(0.9 * m for m in max_shift))
    check(case, "pallas_tpu", max_shift)


@pytest.mark.slow(but=("xla*",))
def test_far_outside(variant):
    shift = np.zeros((3, 6), np.float32)
    far = [1e3, -1e3, 1e30, np.inf, -np.inf, np.nan]
    x = 2 + normals(SHAPE) ** 2
    dy = np.ones(out_shape(SHAPE), np.float32)
    for axis, bound in enumerate(BOUND):
        moved = shift.copy()
        moved[axis] = far
        y, dx, dshift = program(*variant)(x, moved, dy)
        assert np.isnan(y[..., 5]).all()
        if variant[1] is None:
            assert not np.any(y[..., :5]) and not np.any(dx[..., :5])
        else:
            moved = np.clip(moved[:, :5], -bound, bound)  # the others are zero
            close_values(y[..., :5], by_corners(x[..., :5], moved, STRIDE))
            close_values(
                dx[..., :5],
                dx_by_corners(dy[..., :5], moved, STRIDE, (*SHAPE[:4], 5)),
            )
        assert not np.any(dshift[axis, :5])


def test_a_nan_is_not_rounded_away(variant):
    """A parameter that has become nan shows, whatever reads it."""
    shift = np.zeros((3, SHAPE[-1]), np.float32)
    shift[:, 1:4] = np.where(np.eye(3), np.nan, 0)  # an axis each
    x, dy = normals(SHAPE), normals(out_shape(SHAPE))
    y, dx, _ = program(*variant, quantize=True)(x, shift, dy)
    expected = [c in (1, 2, 3) for c in range(SHAPE[-1])]
    assert np.isnan(y).all(axis=(0, 1, 2, 3)).tolist() == expected
    assert np.isnan(dx).any(axis=(0, 1, 2, 3)).tolist() == expected


@pytest.mark.parametrize(("n", "s"), [(4, 4.0), (4, -4.0), (4, 3.0), (4, -3.0)])
def test_at_the_border(n, s):
    """A shift of the clip's length leaves nothing, one place less leaves one frame."""
    x = jnp.arange(1.0, n + 1).reshape(1, n, 1, 1, 1)
    y = shift3d(x, jnp.array([[s], [0], [0]]), implementation="xla")
    kept = {4.0: [0, 0, 0, 0], -4.0: [0] * 4, 3.0: [4, 0, 0, 0], -3.0: [0, 0, 0, 1]}
    assert y.ravel().tolist() == kept[s]


BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))  # 0.49999997


def test_rounds_half_up(variant):
    halves = np.array([0.5, -0.5, BELOW_HALF, -BELOW_HALF, 1.0, -0.75], np.float32)
    rounded = np.array([1, 0, 0, 0, 1, -1], np.float32)
    x, dy = normals(SHAPE), normals(out_shape(SHAPE), 2)
    y, dx, _ = program(*variant, quantize=True)(x, np.tile(halves, (3, 1)), dy)
    expected = program(*variant)(x, np.tile(rounded, (3, 1)), dy)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(dx, expected[1])


def test_rounds_half_up_further_out():
    halves = np.array([[1.5, -1.5, 2.5, -2.5, 2.4999998, -1.5000001]], np.float32)
    shift = jnp.asarray(np.pad(halves, [(0, 2), (0, 0)]))
    x = normals((1, 7, 1, 1, 6))
    for max_shift in (None, (3.0, 0.0, 0.0)):
        f = functools.partial(shift3d, quantize=True, max_shift=max_shift)
        y = f(jnp.asarray(x), shift, implementation="xla")
        expected = np.stack(
            [
                read(x[..., c], (tap, 0, 0), (1, 1, 1))
                for c, tap in enumerate([2, -1, 3, -2, 2, -2])
            ],
            axis=-1,
        )
        np.testing.assert_array_equal(y, expected)


def bits(x) -> np.ndarray:
    x = np.asarray(x)
    return x.view(f"u{x.dtype.itemsize}")


@pytest.mark.slow(but=("*-xla*",))
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("dtype", "kind"), [("bfloat16", "int8"), ("float32", "quantize")]
)
def test_whole_shifts_move_bits(name, dtype, kind):
    implementation, max_shift = PROGRAMS[name]
    taps = np.array([[1, 0, -1, 1, -1, 0], [2, -2, 0, 1, -1, 0], [0, 1, -1, 1, 0, 0]])
    f = functools.partial(
        shift3d, stride=STRIDE, max_shift=max_shift, implementation=implementation
    )
    if kind == "quantize":
        f, shift = functools.partial(f, quantize=True), taps + np.float32(0.25)
        shift = shift.astype(np.float32)
    else:
        shift = taps.astype(kind)

    @jax.jit
    def value_and_dx(x, shift, dy):
        y, vjp = jax.vjp(lambda x: f(x, shift), x)
        return y, *vjp(dy)

    x, dy = (random_bits(s, jnp.dtype(dtype)) for s in (SHAPE, out_shape(SHAPE)))
    with on_cpu(implementation):
        y, dx = value_and_dx(x, shift, dy)
    assert y.dtype == dx.dtype == dtype
    for c, tap in enumerate(taps.T):
        moved = read(bits(x)[..., c], tap, STRIDE)
        np.testing.assert_array_equal(bits(y)[..., c], moved)
        moved = spread(bits(dy)[..., c], tap, STRIDE, SHAPE[:4])
        np.testing.assert_array_equal(bits(dx)[..., c], moved)
