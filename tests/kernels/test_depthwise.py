"""A depthwise convolution against XLA's, on a CPU and as it is lowered elsewhere."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.dispatch import with_gradients
from vidshift.layers.conv import Window, convolve


def _xla(strides, padding):
    def conv(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            dimension_numbers=("HWNC", "HWIO", "HWNC"),
            feature_group_count=x.shape[-1],
        )

    return conv


def _arrays(sides, taps, strides, padding, dtype="float32"):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (*sides, 3, 5), dtype)
    kernel = jax.random.normal(keys[1], (*taps, 1, 5), dtype)
    y = jax.eval_shape(_xla(strides, padding), x, kernel)
    return x, kernel, jax.random.normal(keys[2], y.shape, dtype)


def _both(strides, padding):
    def ours(x, kernel):
        return convolve(x, kernel, Window(strides, padding, x.shape[-1]))

    return with_gradients(ours), with_gradients(_xla(strides, padding))


@pytest.mark.parametrize(
    "sides, taps, strides, padding",
    [
        ((5, 4), (3, 3), (1, 1), ((1, 1), (1, 1))),
        ((6, 6), (3, 3), (2, 2), ((1, 1), (1, 1))),  # a row at the end is not read
        ((5, 7), (3, 3), (2, 2), ((1, 1), (1, 1))),
        ((7, 5), (2, 4), (3, 1), ((0, 1), (2, 0))),
        ((4, 4), (5, 5), (1, 1), ((2, 2), (2, 2))),
    ],
)
def test_is_the_convolution(sides, taps, strides, padding):
    arrays = _arrays(sides, taps, strides, padding)
    ours, wanted = _both(strides, padding)
    assert "convolution" not in jax.jit(ours).lower(*arrays).as_text()
    for got, want in zip(jax.jit(ours)(*arrays), wanted(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_sums_bfloat16_in_float32():
    strides, padding = (1, 1), ((1, 1), (1, 1))
    arrays = _arrays((9, 9), (3, 3), strides, padding, "bfloat16")
    ours, wanted = _both(strides, padding)
    exact = wanted(*(a.astype(jnp.float32) for a in arrays))
    for got, want in zip(jax.jit(ours)(*arrays), exact, strict=True):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_array_equal(got, want.astype(jnp.bfloat16))


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_chips_run_the_same_convolutions(platform):
    strides, padding = (2, 2), ((1, 1), (1, 1))
    arrays = _arrays((4, 4), (3, 3), strides, padding)

    def convolutions(function):
        traced = jax.jit(function).trace(*arrays)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return sorted(re.findall(r"stablehlo.convolution\(.*?\) (.*)", text))

    ours, wanted = _both(strides, padding)
    assert convolutions(ours) == convolutions(wanted)
    assert len(convolutions(ours)) == 3
