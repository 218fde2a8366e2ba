"""A 1x1 convolution against XLA's, on a CPU and as it is lowered elsewhere."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.support.dispatch import with_gradients
from vidshift.layers.conv import Window, convolve


def _conv(strides):
    def conv(x, kernel):
        padding = ((0, 0), (0, 0))
        numbers = ("HWNC", "HWIO", "HWNC")
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=numbers
        )

    return conv


def pointwise_conv(x, kernel, strides=(1, 1)):
    return convolve(x, kernel, Window(strides, ((0, 0), (0, 0)), 1))


def _arrays(sides, strides, channels, filters, rows=3, dtype="float32"):
    keys = jax.random.split(jax.random.key(0), 3)
    results = [-(-n // s) for n, s in zip(sides, strides, strict=True)]
    shapes = (*sides, rows, channels), (1, 1, channels, filters)
    shapes += ((*results, rows, filters),)
    draw = jax.random.normal
    return [draw(k, s, dtype) for k, s in zip(keys, shapes, strict=True)]


def _both(strides):
    ours = with_gradients(lambda x, kernel: pointwise_conv(x, kernel, strides))
    return ours, with_gradients(_conv(strides))


@pytest.mark.parametrize("channels, filters", [(5, 3), (3, 5)])
@pytest.mark.parametrize(
    "sides, strides",
    [((4, 3), (1, 1)), ((4, 4), (2, 2)), ((5, 5), (2, 2)), ((4, 5), (1, 2))],
)
def test_is_the_convolution(sides, strides, channels, filters):
    arrays = _arrays(sides, strides, channels, filters)
    ours, wanted = _both(strides)
    for got, want in zip(jax.jit(ours)(*arrays), wanted(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_keeps_bfloat16():
    arrays = _arrays((4, 4), (2, 2), 6, 4, dtype="bfloat16")
    ours, wanted = _both((2, 2))
    for got, want in zip(jax.jit(ours)(*arrays), wanted(*arrays), strict=True):
        assert got.dtype == want.dtype == jnp.bfloat16
        got, want = got.astype(jnp.float32), want.astype(jnp.float32)
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_chips_run_the_same_convolutions(platform):
    arrays = _arrays((4, 4), (2, 2), 6, 4)

    def convolutions(function):
        traced = jax.jit(function).trace(*arrays)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return sorted(re.findall(r"stablehlo.convolution\(.*?\) (.*)", text))

    ours, wanted = _both((2, 2))
    assert convolutions(ours) == convolutions(wanted)
    assert len(convolutions(ours)) == 3


def test_cpu_transposes_the_operand_with_fewer_channels_from_memory():
    """No convolution, and no norm or activation is computed inside of a transpose."""

    def net(x, kernel):
        return pointwise_conv(jax.nn.relu(2 * x + 1), kernel)

    arrays = _arrays((4, 4), (1, 1), 64, 16, rows=8)
    text = jax.jit(with_gradients(net)).lower(*arrays).compile().as_text()
    assert "convolution(" not in text
    assert text.count(" call(") == 3
    transposed = re.findall(r"f32\[(\d+),128\]\S* fusion\(", text)
    assert transposed == ["16"]


def test_exchanges_only_the_kernels_gradient():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    x, kernel, dy = _arrays((4, 4), (2, 2), 6, 4, rows=16)
    by_rows = NamedSharding(mesh, PartitionSpec(None, None, "data"))
    x, dy = jax.device_put((x, dy), by_rows)
    kernel = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    ours, wanted = _both((2, 2))
    program = jax.jit(ours).lower(x, kernel, dy).compile()
    assert "all-gather" not in program.as_text()
    assert len(re.findall(r" all-reduce\(", program.as_text())) == 1
    for got, want in zip(program(x, kernel, dy), wanted(x, kernel, dy), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_sums_the_kernels_gradient_in_a_shard_map():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    x, kernel, dy = _arrays((4, 4), (1, 1), 6, 4, rows=16)
    ours, wanted = _both((1, 1))
    rows, whole = PartitionSpec(None, None, "data"), PartitionSpec()
    mapped = jax.shard_map(
        ours, mesh=mesh, in_specs=(rows, whole, rows), out_specs=(rows, rows, whole)
    )
    for got, want in zip(
        jax.jit(mapped)(x, kernel, dy), wanted(x, kernel, dy), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
