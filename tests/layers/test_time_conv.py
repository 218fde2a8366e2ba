"""Convolutions over time: XLA's 3-D convolution, values by hand, the order of frames."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tests.support.collectives import collectives
from tests.support.networks import in_parts, random_clips
from vidshift.kernels import Frames
from vidshift.layers.time_conv import TimeConv


def time_conv(cin, cout, kernel, strides=(1, 1, 1), **options) -> TimeConv:
    padding = tuple((k // 2, k // 2) for k in kernel)
    options = {"padding": padding, "use_bias": False, "rngs": nnx.Rngs(0)} | options
    return TimeConv(cin, cout, kernel, strides, **options)


def reference(clips, kernel, strides, padding, groups=1):
    return jax.lax.conv_general_dilated(
        clips,
        kernel,
        strides,
        padding,
        dimension_numbers=("NTHWC", "THWIO", "NTHWC"),
        feature_group_count=groups,
    )


@pytest.mark.slow(but=("kernel3-*", "kernel6-*"))
@pytest.mark.parametrize(
    ("kernel", "strides", "groups", "shape"),
    [
        ((3, 3, 3), (1, 2, 2), 2, (2, 3, 5, 4, 6)),
        ((5, 7, 7), (1, 2, 2), 1, (2, 6, 8, 9, 3)),
        ((5, 1, 1), (1, 1, 1), 3, (4, 2, 1, 1, 6)),  # fewer frames than taps
        ((3, 1, 1), (1, 1, 1), 1, (2, 1, 2, 2, 6)),
        ((5, 1, 1), (8, 1, 1), 1, (2, 16, 2, 3, 6)),  # a lateral convolution
        ((3, 1, 1), (1, 2, 2), 1, (2, 3, 4, 3, 6)),
        ((5, 1, 1), (8, 1, 1), 3, (2, 3, 2, 2, 6)),
    ],
)
def test_values_and_gradients_of_a_3d_convolution(kernel, strides, groups, shape):
    conv = time_conv(shape[-1], 6, kernel, strides, feature_group_count=groups)
    graphdef, state = nnx.split(conv)

    def ours(clips, state):
        y = nnx.merge(graphdef, state)(in_parts(clips, 2))
        assert y.parts == 2
        return y.clips()

    def theirs(clips, state):
        weight = state["kernel"][...]
        return reference(clips, weight, strides, conv.padding, groups)

    @jax.jit
    def run(clips, state, dy):
        results = []
        for f in (ours, theirs):
            y, back = jax.vjp(f, clips, state)
            results.append((y, *jax.tree.leaves(back(dy))))
        return results

    clips = random_clips(*shape)
    dy = random_clips(*jax.eval_shape(theirs, clips, state).shape, seed=2)
    found, expected = run(clips, state, dy)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    for d, d_expected in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(d, d_expected, atol=1e-4)


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [210.0, 321.0, 432.0, 43.0]), (2, [210.0, 432.0])]
)
def test_by_hand(stride, expected):
    """Taps 1, 10, 100 for the frame before, the frame, the one after."""
    conv = time_conv(1, 1, (3, 1, 1), (stride, 1, 1))
    conv.kernel[...] = jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1, 1)
    clip = jnp.arange(1.0, 5.0).reshape(1, 4, 1, 1, 1)
    assert conv(Frames.of(clip)).clips().ravel().tolist() == expected


@pytest.mark.slow
def test_bias_and_bfloat16():
    options = {"use_bias": True, "bias_init": nnx.initializers.constant(2.0)}
    exact = time_conv(4, 3, (3, 3, 3), **options)
    rounded = time_conv(4, 3, (3, 3, 3), dtype=jnp.bfloat16, **options)
    clips = random_clips(2, 3, 4, 4, 4)
    expected = reference(clips, exact.kernel[...], (1, 1, 1), exact.padding) + 2
    np.testing.assert_allclose(exact(Frames.of(clips)).clips(), expected, atol=1e-5)
    y = rounded(Frames.of(clips)).clips()
    assert y.dtype == jnp.bfloat16 and rounded.kernel[...].dtype == jnp.float32
    assert 1e-4 < jnp.abs(y.astype(jnp.float32) - expected).max() < 0.1


@pytest.mark.parametrize("kernel", [(3, 1, 1), (3, 3, 3)])
def test_kernels_of_one_pixel_write_no_taps(kernel):
    """One convolution, whose result has only the outputs; else those of three taps."""
    conv, x = time_conv(4, 8, kernel), Frames.of(random_clips(2, 3, 2, 2, 4))
    program = jax.jit(conv).trace(x).lower(lowering_platforms=("cuda",))
    (written,) = re.findall(r"convolution.*-> tensor<(.*)xf32>", program.as_text())
    outputs = 2 * 3 * 2 * 2 * 8
    assert math.prod(map(int, written.split("x"))) == outputs * kernel[-1]


@pytest.mark.parametrize("stride", [1, 4])
def test_both_orders_of_images_give_the_same(devices, stride):
    conv = time_conv(4, 6, (3, 1, 1), (stride, 1, 1))

    def along(clips, places_first):
        x = Frames.of(clips)
        y = conv._along_time(x, x.data, conv.kernel[...], places_first=places_first)
        return Frames(y, (x.frames - 1) // stride + 1, x.parts).clips()

    clips = random_clips(8, 5, 2, 3, 4)
    expected = along(clips, True)
    shared = jax.device_put(clips, NamedSharding(devices, PartitionSpec("data")))
    with jax.set_mesh(devices):
        program = jax.jit(lambda clips: along(clips, False)).lower(shared).compile()
    assert collectives(program.as_text()) == []
    np.testing.assert_allclose(program(shared), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 3, 3), (2, 1, 1)), ((3, 1, 1), (2, 1, 2))]
)
def test_a_stride_in_time_is_of_time_alone(kernel, strides):
    with pytest.raises(ValueError, match=f"got kernel_size=.*strides=.*{strides[2]}"):
        time_conv(1, 1, kernel, strides)


@pytest.mark.parametrize(
    ("kernel", "padding", "message"),
    [
        ((4, 1, 1), ((2, 2), (0, 0), (0, 0)), r"odd .*got 4 frames padded by \(2, 2\)"),
        ((3, 1, 1), ((0, 2), (0, 0), (0, 0)), r"got 3 frames padded by \(0, 2\)"),
    ],
)
def test_wrong_time(kernel, padding, message):
    with pytest.raises(ValueError, match=message):
        time_conv(1, 1, kernel, padding=padding)
