"""The gradient of normalising by a batch's statistics, against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import random_clips
from vidshift.kernels import Frames
from vidshift.layers.batch_statistics import Spec, normalise
from vidshift.layers.norm import BatchNorm
from vidshift.nets.weights import split

# (shape, axes within a frame, axes of frames)
CASES = {
    "frames": ((3, 2, 6, 5), (0, 1), (2,)),
    "groups of devices": ((3, 2, 2, 6, 5), (0, 1), (3,)),
    "groups of clips": ((3, 2, 2, 3, 2, 2, 5), (0, 1), (3, 5)),
    "vectors": ((1, 6, 5), (), (1,)),
}


def plain(x, scale, bias, around, spec: Spec):
    """The formula as a textbook has it."""
    axes = spec.frame_axes + spec.other_axes
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    scale, bias = (v.reshape((1,) * (x.ndim - 1) + (-1,)) for v in (scale, bias))
    return (x - mean) / jnp.sqrt(var + spec.epsilon) * scale + bias


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_autodiffs(case):
    shape, frame_axes, other_axes = CASES[case]
    spec = Spec(frame_axes, other_axes, 1e-3, jnp.dtype("float32"))
    rng = np.random.default_rng(0)
    x, weight = (jnp.asarray(rng.normal(1, 2, shape), jnp.float32) for _ in range(2))
    scale, bias, around = (jnp.asarray(rng.normal(size=5), jnp.float32) for _ in "abc")

    def gradients(function):
        def loss(*arguments):
            return (function(*arguments, spec) * weight).sum()

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(x, scale, bias, around)

    ours = gradients(lambda *a: normalise(*a)[0])
    for our, wanted in zip(ours, gradients(plain), strict=True):
        np.testing.assert_allclose(our, wanted, rtol=2e-4, atol=2e-5)


def test_bfloat16_keeps_its_type_and_is_summed_in_float32():
    spec = Spec((0, 1), (2,), 1e-5, jnp.dtype("bfloat16"))
    # In bfloat16 a sum stops growing at 256.
    x = jnp.ones((32, 32, 1, 1), jnp.bfloat16)
    one = jnp.ones(1)
    y, pull = jax.vjp(lambda x, b: normalise(x, one, b, one, spec)[0], x, one)
    dx, dbias = pull(jnp.ones_like(y))
    assert (y.dtype, dx.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert dbias.tolist() == [1024.0]


@pytest.mark.parametrize(("parts", "group"), [(1, 2), (2, 3), (2, 6), (4, 6), (2, 4)])
def test_groups_of_frames_are_those_of_clips(parts, group):
    """By frames in devices' parts as by clips; four clips are of more than one part."""
    clips = random_clips(12, 2, 2, 3, 5)
    split_clips = clips.reshape(parts, 12 // parts, *clips.shape[1:])
    data = split_clips.transpose(3, 4, 0, 2, 1, 5).reshape(2, 3, 24, 5)
    frames = Frames(data, frames=2, parts=parts)
    layer = nnx.view(BatchNorm(5), use_running_average=False, group_clips=group)
    skeleton, params, stats = split(layer)

    def call(x):
        norm = skeleton.merge(params, stats)
        return norm(x), norm.mean[...], norm.var[...]

    if group == 4:  # no shape of axes has them
        assert layer._grouped(frames) is None
        return
    y, *statistics = call(frames)
    for ours, wanted in zip((y.clips(), *statistics), call(clips), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)
    assert "transpose" not in str(jax.make_jaxpr(call)(frames))
