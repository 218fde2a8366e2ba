"""Pooling against NumPy, window by window, and against sides that PyTorch gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.networks import random_clips
from vidshift.kernels import Frames
from vidshift.layers import pool
from vidshift.layers.pool import avg_pool, max_pool


def plane(*rows) -> Frames:
    """One frame of one channel."""
    return Frames.of(jnp.asarray(rows, jnp.float32)[None, None, :, :, None])


def values(x: Frames) -> list:
    return x.data[:, :, 0, 0].tolist()


def windows(x: Frames, result: Frames, side, stride, padding, outside, reduce):
    """`reduce` of the window of each place of the result."""
    wide = np.asarray(x.data, np.float64)
    around = (padding, padding + side + stride)
    wide = np.pad(wide, (around, around, (0, 0), (0, 0)), constant_values=outside)
    rows, columns = result.data.shape[:2]
    return np.array(
        [
            [
                reduce(
                    wide[
                        i * stride : i * stride + side, j * stride : j * stride + side
                    ],
                    axis=(0, 1),
                )
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )


def test_by_hand():
    x = plane([1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6], [5, 4, 3, -9])
    assert values(max_pool(x, 3, 2, 0)) == [[9]]
    # The second windows hold two columns, or rows, and no zeros.
    assert values(max_pool(x, 3, 2, 0, ceil_mode=True)) == [[9, 8], [9, 7]]
    negative = x.like(-x.data)
    assert values(max_pool(negative, 3, 2, 0, ceil_mode=True)) == [[-1, -3], [-3, 9]]
    assert values(max_pool(negative, 3, 2, 1)) == [[-1, -2], [-4, 9]]
    # The corner's window holds four values and five zeros.
    mean = values(avg_pool(x, 3, 1, 1))
    np.testing.assert_allclose(mean[0][0], (1 + 2 + 5 + 6) / 9, rtol=1e-6)
    np.testing.assert_allclose(
        mean[1][1], (1 + 2 + 3 + 5 + 6 + 7 + 9 + 8 + 7) / 9, rtol=1e-6
    )


# (side, stride, padding) -> windows of frames of sides 2 to 7 in PyTorch 2.13's
# ceil_mode. With a stride above the side, the last window would begin beyond the frame.
WINDOWS = {
    (3, 2, 0): (1, 1, 2, 2, 3, 3),
    (3, 2, 1): (2, 2, 3, 3, 4, 4),
    (2, 3, 1): (1, 2, 2, 2, 3, 3),
}


@pytest.mark.parametrize("shape", WINDOWS)
def test_max_pool_rounds_up(shape):
    for length, wanted in zip(range(2, 8), WINDOWS[shape], strict=True):
        x = Frames.of(random_clips(1, 2, length, length + 1, 2) - 5)
        y = max_pool(x, *shape, ceil_mode=True)
        assert y.data.shape[0] == wanted, length
        np.testing.assert_array_equal(y.data, windows(x, y, *shape, -np.inf, np.max))


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
def test_avg_pool_counts_the_padding(stride, padding):
    x = Frames.of(random_clips(1, 2, 5, 6, 2))
    y = avg_pool(x, 3, stride, padding)
    expected = windows(x, y, 3, stride, padding, 0.0, np.mean)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_is_summed_in_float32():
    # In bfloat16 1 is lost beside 256.
    x = plane([256, 1, 1], [1, 1, 1], [1, 1, 1])
    x = x.like(x.data.astype(jnp.bfloat16))
    y = avg_pool(x, 3, 1, 1)
    assert y.data.dtype == jnp.bfloat16
    assert float(y.data[1, 1, 0, 0]) == float(jnp.bfloat16(264 / 9))
    assert max_pool(x, 3, 2, 0, ceil_mode=True).data.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        # The largest of the windows at (0, 0), (0, 2), (2, 0) and (2, 2).
        (
            lambda x: max_pool(x, 3, 2, 0, ceil_mode=True),
            [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]],
        ),
        # How many windows read a place.
        (
            lambda x: avg_pool(x, 3, 1, 1),
            np.outer([2, 3, 3, 2], [2, 3, 3, 2]) / 9,
        ),
    ],
)
def test_gradients(layer, expected):
    x = plane([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16])
    dx = jax.grad(lambda data: layer(x.like(data)).data.sum())(x.data)
    np.testing.assert_allclose(dx[:, :, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3, 2, 1), "bfloat16"), ((3, 1, 1), "float32"), ((2, 3, 1), "float32")],
)
def test_max_pool_has_the_gradient_of_xlas_to_the_last_bit(shape, dtype):
    """Few values, so that most windows have several that are the largest."""
    side, stride, _ = shape
    rng = np.random.default_rng(0)
    values = np.maximum(rng.integers(-3, 4, (7, 6, 2, 3)), 0)
    x = Frames(jnp.asarray(values, dtype), frames=2)
    around = [pool._around(n, *shape, True) for n in (7, 6)]

    def xlas(data):
        reduce = jax.lax.max
        return pool._windows(data, -jnp.inf, reduce, side, stride, around)

    def ours(data):
        return max_pool(x.like(data), *shape, ceil_mode=True).data

    y, pull = jax.vjp(ours, x.data)
    wanted, pull_xlas = jax.vjp(xlas, x.data)
    np.testing.assert_array_equal(y, wanted)
    dy = jnp.asarray(rng.normal(size=y.shape), dtype)
    np.testing.assert_array_equal(pull(dy)[0], pull_xlas(dy)[0])


@pytest.mark.parametrize(("platform", "scatters"), [("cuda", False), ("tpu", True)])
def test_max_pools_gradient_scatters_on_a_tpu_alone(platform, scatters):
    x = plane([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16])
    gradient = jax.grad(lambda data: max_pool(x.like(data), 3, 2, 1).data.sum())
    lowered = jax.jit(gradient).trace(x.data).lower(lowering_platforms=(platform,))
    assert ("select_and_scatter" in lowered.as_text()) == scatters
