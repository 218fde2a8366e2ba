"""Batch norm against float64 NumPy, in groups, frozen, and over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tests.support.networks import random_clips, random_network, resnet
from vidshift import create, train_view
from vidshift.layers.norm import BatchNorm, batch_norms, freeze
from vidshift.nets.weights import named_arrays, split

SHAPE = (4, 3, 2, 2, 5)


def norm(**options) -> BatchNorm:
    return random_network(lambda: BatchNorm(5, **options))


def train(norm: BatchNorm, x, **view):
    """(output, running mean, running variance) of one training call."""
    skeleton, params, stats = split(nnx.view(norm, use_running_average=False, **view))

    @jax.jit
    def call(x):
        model = skeleton.merge(params, stats)
        y = model(x)
        return y, model.mean[...], model.var[...]

    return call(x)


def expected(norm: BatchNorm, x):
    """What PyTorch documents, in float64."""
    x = np.asarray(x, np.float64)
    arrays = {k: np.asarray(v, np.float64) for k, v in named_arrays(norm).items()}
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    y = (x - mean) / np.sqrt(var + 1e-5) * arrays["scale"] + arrays["bias"]
    unbiased = x.var(axes, ddof=1)
    return (
        y,
        0.9 * arrays["mean"] + 0.1 * mean,
        0.9 * arrays["var"] + 0.1 * unbiased,
    )


def assert_close(found, wanted, **tolerance):
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize("shape", [SHAPE, (2, 1, 1, 1, 5), (6, 5)])
def test_training_is_pytorchs(shape):
    x = 2.0 + 3.0 * random_clips(*shape)
    assert_close(train(norm(), x), expected(norm(), x), rtol=1e-5, atol=1e-5)


def test_evaluation_uses_running_statistics():
    x, layer = random_clips(*SHAPE), norm()
    arrays = {k: np.asarray(v, np.float64) for k, v in named_arrays(layer).items()}
    y = (np.asarray(x) - arrays["mean"]) / np.sqrt(arrays["var"] + 1e-5)
    y = y * arrays["scale"] + arrays["bias"]
    np.testing.assert_allclose(layer(x), y, rtol=1e-5, atol=1e-6)


def test_statistics_are_float32_whatever_the_input():
    # In bfloat16 a sum of so many values near 3 would stop growing.
    x = (3.0 + random_clips(16, 8, 4, 4, 5)).astype(jnp.bfloat16)
    y, mean, var = train(norm(dtype=jnp.bfloat16), x)
    assert y.dtype == jnp.bfloat16
    wanted = expected(norm(), x)
    assert_close((mean, var), wanted[1:], rtol=1e-5)
    np.testing.assert_allclose(y.astype(np.float32), wanted[0], rtol=0.01, atol=0.01)


def test_groups_of_clips_are_normalised_alone():
    x, layer = random_clips(6, 3, 2, 2, 5), norm()
    y, mean, var = train(layer, x, group_clips=2)
    alone = [expected(layer, x[i : i + 2]) for i in (0, 2, 4)]
    wanted = (
        np.concatenate([part[0] for part in alone]),
        np.mean([part[1] for part in alone], axis=0),
        np.mean([part[2] for part in alone], axis=0),
    )
    assert_close((y, mean, var), wanted, rtol=1e-5, atol=1e-5)


def test_groups_must_divide_the_batch():
    with pytest.raises(
        ValueError, match="groups of 3 clips do not divide a batch of 4"
    ):
        train(norm(), random_clips(*SHAPE), group_clips=3)


@pytest.mark.parametrize(
    ("which", "training"),
    [("none", {"stem.norm", "inner"}), ("partial", {"stem.norm"}), ("all", set())],
)
def test_frozen_norms_stay_in_evaluation_mode(which, training):
    def make():
        model = resnet((1, 1))
        freeze(model, which)
        return model

    model = nnx.eval_shape(make)
    found = set()
    for path, layer in batch_norms(train_view(model)):
        if not layer.use_running_average:
            found.add("stem.norm" if path[0] == "stem" else "inner")
    assert found == training
    assert len(batch_norms(model)) == 6  # two a block, the stem's, one shortcut's


@pytest.mark.slow(but=("mobilenet_v2-*",))
@pytest.mark.parametrize(
    ("backbone", "first"),
    [
        ("mobilenet_v2", "stem.norm"),
        ("inception_v3", "stem.0.units.0.norm"),  # of five norms in the stem
        ("rubiksnet_micro", "stages.0.0.norm"),  # its stem has none
    ],
)
def test_partial_leaves_the_first_norm_of_the_network(backbone, first):
    model = nnx.eval_shape(lambda: create(backbone, num_classes=2, num_frames=8))
    freeze(model, "partial")
    assert [".".join(map(str, p)) for p, n in batch_norms(model) if not n.frozen] == [
        first
    ]


def test_a_frozen_norm_does_not_move_its_statistics():
    layer, x = norm(), random_clips(*SHAPE)
    layer.frozen = True
    evaluated = layer(x)
    y, mean, var = train(layer, x)
    np.testing.assert_allclose(y, evaluated, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mean, layer.mean[...])
    np.testing.assert_array_equal(var, layer.var[...])


@pytest.mark.slow(but=("True",))
@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_norm_has_no_gradient_but_passes_one_on(frozen):
    layer = norm()
    layer.frozen = frozen
    x = random_clips(*SHAPE)

    def loss(layer, x):
        return (nnx.view(layer, use_running_average=False)(x) ** 2).sum()

    graphdef, params, rest = nnx.split(layer, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    own, passed = jax.grad(
        lambda p, x: loss(nnx.merge(graphdef, p, rest), x), argnums=(0, 1)
    )(params, x)
    assert all((g == 0).all() == frozen for g in jax.tree.leaves(own))
    assert (passed != 0).any()


def test_unknown_freeze():
    with pytest.raises(ValueError, match="freeze must be one of .*got 'most'"):
        freeze(norm(), "most")


@pytest.mark.parametrize("group_clips", [None, 2])
def test_statistics_of_a_sharded_batch_are_those_of_the_whole(devices, group_clips):
    x = random_clips(16, 3, 2, 2, 5)
    # Each device's clips have their own mean, so its own statistics would differ.
    x = x + jnp.repeat(jnp.arange(8.0), 2)[:, None, None, None, None]
    layer = norm()
    whole = train(layer, x, group_clips=group_clips)
    spread = jax.device_put(x, NamedSharding(devices, PartitionSpec("data")))
    assert len(spread.sharding.device_set) == 8
    assert_close(
        train(layer, spread, group_clips=group_clips), whole, rtol=1e-5, atol=1e-5
    )


def test_a_mean_far_from_zero_does_not_cancel():
    """Once the running mean is near, the variance is good at 1000 deviations."""
    norm = nnx.view(BatchNorm(2), use_running_average=False)
    norm.mean[...] = jnp.array([999.0, -1001.0])
    x = np.random.default_rng(0).normal(size=(64, 1, 4, 4, 2))
    x = (x + [1000.0, -1000.0]).astype(np.float32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean((0, 1, 2, 3))) / wide.std((0, 1, 2, 3))
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, atol=2e-3)
