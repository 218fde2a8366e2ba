"""Convolutions of frames: their gradients, on one device and over several."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tests.support.networks import random_clips, random_network
from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.nets.weights import split


def conv(side, stride, groups, dtype=jnp.float32) -> FrameConv:
    return random_network(
        lambda: FrameConv(
            4,
            6,
            (side, side),
            (stride, stride),
            padding=((1, 1), (1, 1)),
            feature_group_count=groups,
            use_bias=False,
            rngs=nnx.Rngs(0),
            dtype=dtype,
        )
    )


def of_kernel(layer: FrameConv, clips, kernel):
    skeleton, _, _ = split(layer)
    return skeleton.merge({"kernel": kernel}, {})(Frames.of(clips)).clips()


@pytest.mark.parametrize(("side", "stride", "groups"), [(3, 2, 1), (1, 1, 2)])
def test_gradients_are_autodiffs(side, stride, groups):
    layer, clips = conv(side, stride, groups), random_clips(2, 2, 5, 6, 4)

    def plain(clips, kernel):
        images = clips.reshape(-1, *clips.shape[2:])
        y = jax.lax.conv_general_dilated(
            images,
            kernel,
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        return y.reshape(*clips.shape[:2], *y.shape[1:])

    def ours(clips, kernel):
        return of_kernel(layer, clips, kernel)

    def gradients(function):
        both = jax.grad(lambda *a: jnp.sin(function(*a)).sum(), argnums=(0, 1))
        return both(clips, layer.kernel[...])

    for our, wanted in zip(gradients(ours), gradients(plain), strict=True):
        np.testing.assert_allclose(our, wanted, rtol=1e-4, atol=1e-5)


def test_devices_sum_a_bfloat16_gradient_in_float32(devices):
    layer = conv(3, 1, 1, dtype=jnp.bfloat16)
    kernel = layer.kernel[...]
    spread = NamedSharding(devices, PartitionSpec("data"))
    whole = NamedSharding(devices, PartitionSpec())

    @jax.jit
    def gradient(kernel, clips):
        return jax.grad(lambda k: of_kernel(layer, clips, k).sum())(kernel)

    clips = random_clips(16, 2, 4, 4, 4)
    arguments = jax.device_put(kernel, whole), jax.device_put(clips, spread)
    compiled = gradient.lower(*arguments).compile()
    assert len(re.findall(r" all-reduce\(", compiled.as_text())) == 1
    # Each device rounds its own part to bfloat16, and nobody rounds their sum.
    parts = [gradient(kernel, clips[i : i + 2]) for i in range(0, 16, 2)]
    np.testing.assert_allclose(compiled(*arguments), sum(parts), rtol=1e-6, atol=1e-6)
