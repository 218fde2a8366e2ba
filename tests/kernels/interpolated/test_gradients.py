"""`shift3d`: its gradients, and that they learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.pallas import on_cpu
from tests.support.shift3d_reference import (
    BOUND,
    PROGRAMS,
    SHAPE,
    STRIDE,
    close_sums,
    close_values,
    normals,
    out_shape,
    program,
    random_shift,
    right_derivative,
)
from vidshift.kernels import shift3d

DY = normals(out_shape(SHAPE), 2)


T = [(0, 0.3, -0.4), (1, 0.3, 0.6), (-1, -1.3, 0.2)]
H = [(0.3, 0, -0.4), (0.3, 1, 0.6), (-1.2, -2, 0.2)]
W = [(0.3, -0.4, 0), (-1.3, 0.6, -1), (0.7, 1.2, 0)]
TWO = [(0, 1, 0.5), (-1, 0.5, 0), (0.5, -1, -1)]
ALL = [(0, 0, 0), (-1, 1, 0), (0, -2, -1)]
# Next to a whole number: nothing snaps to it.
NEAR = [(1e-6, -1e-6, 0.5), (0.999999, 0.5, -1e-7), (-0.999999, 1e-7, 0.5)]
# Which axes' shifts are whole -> the shifts of six channels.
WHOLE = {"t, h": T + H, "w, two": W + TWO, "all, near": ALL + NEAR}


@pytest.mark.slow(but=("xla*",))
@pytest.mark.parametrize("where", WHOLE)
def test_derivative_to_the_right(variant, where):
    shift = np.array(WHOLE[where], np.float32).T
    x = normals(SHAPE)
    _, _, dshift = program(*variant)(x, shift, DY)
    close_sums(dshift, right_derivative(x, shift, DY, STRIDE), DY)


def test_derivative_at_the_clips_end():
    """One place beyond the clip on the left, the derivative to the right sees it."""
    shift = np.zeros((3, 6), np.float32)
    shift[:, :3] = -np.diag(np.float32(SHAPE[1:4]))
    shift[:, 3:] = -shift[:, :3]
    x, dy = normals(SHAPE), normals(SHAPE, 2)
    _, _, dshift = program("xla", None, (1, 1, 1))(x, shift, dy)
    expected = right_derivative(x, shift, dy, (1, 1, 1))
    assert np.all(np.diag(expected[:, :3]) != 0) and not np.any(expected[:, 3:])
    close_sums(dshift, expected, dy)


@pytest.mark.parametrize("name", ["xla_bounded", "pallas_tpu"])
def test_bound(name):
    """BOUND is (1.5, 2, 1): inside, at, and beyond, on either side, on each axis."""
    bound = np.float32(BOUND)[:, None]
    factors = np.float32([-1.01, -1, -0.99, 0.99, 1, 1.01])
    shift = np.zeros((3, 3, 6), np.float32) + np.float32(0.25)
    for axis in range(3):
        shift[axis, axis] = bound[axis] * factors
    x = normals(SHAPE)
    implementation, max_shift = PROGRAMS[name]
    for axis in range(3):
        with on_cpu(implementation):
            y, dx, dshift = program(implementation, max_shift)(x, shift[axis], DY)
        inside = np.clip(shift[axis], -bound, bound)
        expected = program("xla", None)(x, inside, DY)
        close_values(y, np.asarray(expected[0]))
        close_values(dx, np.asarray(expected[1]))
        alive = np.ones((3, 6), bool)
        alive[axis] = [False, True, True, True, False, False]
        right = right_derivative(x, inside, DY, STRIDE)
        assert np.all(right[axis] != 0)  # so that a zero below is the bound's doing
        close_sums(dshift, np.where(alive, right, 0), DY)


def test_bounded_before_it_is_rounded():
    """Integers and rounded shifts alike: a bound of 1.5 rounds to 2, half up."""
    x = jnp.asarray(normals(SHAPE))
    f = functools.partial(shift3d, implementation="xla")
    within = jnp.asarray(np.float32([[1], [2], [-1]]).repeat(6, axis=1))
    beyond = jnp.asarray(np.int32([[3], [3], [-3]]).repeat(6, axis=1))
    for shift in (beyond, beyond.astype(jnp.float32)):
        y = f(x, shift, max_shift=(1.0, 1.5, 1.5), quantize=True)
        np.testing.assert_array_equal(y, f(x, within))


@pytest.mark.slow(but=("xla*",))
def test_straight_through(variant):
    """With `quantize` the shift's gradient is the interpolated one."""
    shift = random_shift(BOUND, 6)
    shift[:, 1] = 0.5
    x = normals(SHAPE)
    quantised = program(*variant, quantize=True)(x, shift, DY)
    interpolated = program(*variant)(x, shift, DY)
    assert np.any(np.asarray(quantised[1]) != np.asarray(interpolated[1]))
    close_sums(quantised[2], np.asarray(interpolated[2]), DY)
    close_sums(quantised[2], right_derivative(x, shift, DY, STRIDE), DY)


def test_shift_gradient_has_the_shifts_dtype():
    x, shift = jnp.ones((1, 2, 2, 2, 3)), jnp.full((3, 3), 0.5, jnp.bfloat16)
    f = jax.jit(jax.grad(lambda s: shift3d(x, s).sum().astype(jnp.float32)))
    assert f(shift).dtype == jnp.bfloat16


def test_integers_have_no_gradient():
    x, shift = jnp.asarray(normals(SHAPE)), jnp.ones((3, 6), jnp.int8)

    @jax.jit
    def gradients(x, shift):
        f = functools.partial(shift3d, implementation="xla")
        y, vjp = jax.vjp(f, x, shift)
        dx, dshift = vjp(jnp.ones_like(y))
        assert dshift.dtype == jax.dtypes.float0
        return jax.grad(lambda x: f(x, shift).sum())(x), dx

    for dx in gradients(x, shift):
        expected = np.ones(SHAPE)
        expected[:, 0] = expected[:, :, 0] = expected[:, :, :, 0] = 0
        np.testing.assert_array_equal(dx, expected)


def test_same_from_run_to_run(variant):
    x, shift = normals(SHAPE), random_shift(BOUND, 6)
    first, second = (program(*variant)(x, shift, DY) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
