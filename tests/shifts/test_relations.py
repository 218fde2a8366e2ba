"""TRN's relations: values against NumPy and the public code, their draws, their costs."""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import (
    abstract,
    assert_learns,
    count,
    random_clips,
    random_network,
    tiny,
)
from vidshift import train_view
from vidshift.nets.drawn import made_up_weight
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts.relations import Relations
from vidshift.stream import make

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "trn_relations.npz"


def head(num_frames=5, **options) -> Relations:
    options = {"num_classes": 3, "num_frames": num_frames, "dtype": "float32"} | options
    return random_network(lambda: Relations(6, rngs=nnx.Rngs(0), **options))


def expected(head: Relations, x, groups: dict[int, list]) -> np.ndarray:
    """In float64; `groups` are those that are used, by their size."""
    arrays = {k: np.asarray(v, np.float64) for k, v in named_arrays(head).items()}

    def linear(x, name):
        return x @ arrays[f"{name}.kernel"] + arrays[f"{name}.bias"]

    x = linear(np.asarray(x, np.float64), "reduce")
    total = 0
    for size, used in groups.items():
        for group in used:
            joined = np.concatenate([x[:, frame] for frame in group], -1)
            hidden = linear(np.maximum(joined, 0), f"scales.{size - 2}.hidden")
            total += linear(np.maximum(hidden, 0), f"scales.{size - 2}.classes")
    return total


def test_evaluation_adds_up_groups_spread_over_all():
    groups = {  # the first, a middle one and the last of 10, 10, 5 and 1
        2: [(0, 1), (1, 2), (3, 4)],
        3: [(0, 1, 2), (0, 2, 4), (2, 3, 4)],
        4: [(0, 1, 2, 3), (0, 1, 3, 4), (1, 2, 3, 4)],
        5: [(0, 1, 2, 3, 4)],
    }
    layer, x = head(), random_clips(2, 5, 6)
    found = jax.jit(layer)(x)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected(layer, x, groups), rtol=1e-4, atol=1e-4)


def test_training_draws_three_groups_of_each_size_without_repeats():
    """Of three frames all groups are used; of four the answer says which three were."""
    x = random_clips(2, 4, 6)
    layer = head(4)
    training = nnx.view(layer, deterministic=False)
    run = jax.jit(lambda key: training(x, rngs=key))
    choices = {
        (pairs, triples): expected(layer, x, {2: pairs, 3: triples, 4: [(0, 1, 2, 3)]})
        for pairs in itertools.combinations(itertools.combinations(range(4), 2), 3)
        for triples in itertools.combinations(itertools.combinations(range(4), 3), 3)
    }
    drawn = set()
    for key in jax.random.split(jax.random.key(0), 12):
        found = run(key)
        errors = {c: np.abs(found - y).max() for c, y in choices.items()}
        best = min(errors, key=errors.get)
        assert errors[best] < 1e-3 and sorted(errors.values())[1] > 1e-3
        drawn.add(best)
    assert len(drawn) > 6


def test_training_needs_a_key():
    training = nnx.view(head(), deterministic=False)
    with pytest.raises(ValueError, match="trn draws groups.*rngs must be a key"):
        training(jnp.ones((1, 5, 6)))
    x = jnp.ones((1, 5, 6))
    sources = (
        lambda: jax.random.key(0),
        lambda: nnx.Rngs(0),
        lambda: nnx.Rngs(0).dropout,
    )
    for make_source in sources:
        logits = jax.eval_shape(lambda make=make_source: training(x, rngs=make()))
        assert logits.shape == (1, 3)


def test_everything_learns():
    layer = nnx.view(head(3), deterministic=False)
    x = random_clips(4, 3, 6)
    assert_learns(layer, lambda layer: layer(x, rngs=jax.random.key(0)))


def official(name: str, shape: tuple[int, ...], num_frames: int) -> np.ndarray:
    """Our parameter from the public code's, made up from its name there."""
    module, leaf = name.rsplit(".", 1)
    official = "new_fc"
    if module != "reduce":  # the public code begins with the relation of all frames
        _, index, layer = module.split(".")
        place = {"hidden": 1, "classes": 3}[layer]
        official = f"consensus.fc_fusion_scales.{num_frames - 2 - int(index)}.{place}"
    if leaf == "bias":
        return made_up_weight(f"{official}.bias", shape)
    return made_up_weight(f"{official}.weight", shape[::-1]).T


@pytest.mark.parametrize("num_frames", [3, 8])
def test_values_are_those_of_the_public_code(num_frames):
    """TRN-pytorch's module; its draws of groups were replaced by those spread evenly."""
    layer = nnx.eval_shape(
        lambda: Relations(
            6, num_classes=4, num_frames=num_frames, dtype="float32", rngs=nnx.Rngs(0)
        )
    )
    skeleton, params, stats = split(layer)
    params = {n: official(n, a.shape, num_frames) for n, a in params.items()}
    rng = np.random.default_rng(num_frames)
    x = rng.standard_normal((2, num_frames, 6)).astype(np.float32)
    found = jax.jit(skeleton.merge(params, stats))(x)
    with np.load(GOLDEN) as arrays:
        np.testing.assert_allclose(
            found, arrays[f"frames{num_frames}"], rtol=1e-4, atol=1e-4
        )


def test_a_network_of_clips_alone():
    model, clips = tiny("trn"), random_clips(2, 4, 8, 8, 3)
    names = named_arrays(model)
    assert not any(name.startswith("fc.") for name in names)
    logits = jax.jit(lambda m, c: m(c))(model, clips)
    assert logits.shape == (2, 4) and logits.dtype == jnp.float32
    swapped = jax.jit(lambda m, c: m(c))(model, clips[:, ::-1])
    assert np.abs(swapped - logits).max() > 1e-3 * np.abs(logits).max()
    with pytest.raises(ValueError, match="frame_logits: the network's head answers"):
        model.frame_logits(clips)
    with pytest.raises(ValueError, match="num_frames=4 frames, got clips of 3"):
        model(clips[:, :3])
    with pytest.raises(
        ValueError, match="a stream needs a network that reads no later"
    ):
        make(model)
    train = jax.jit(lambda m, c, key: train_view(m)(c, rngs=key))
    first, second = (train(model, clips, jax.random.key(k)) for k in (0, 1))
    assert not np.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 1}, "trn relates 2 to 16 frames, got num_frames=1"),
        ({"num_frames": 17}, "trn relates 2 to 16 frames, got num_frames=17"),
        ({"frames": 1}, "got num_frames=1"),
        ({"causal": True}, "resnet_tiny with trn has no option causal"),
        ({"temporal_pool": True}, "num_frames=8 frames, of which temporal_pool leaves"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        abstract("resnet_tiny", "trn", **options)


def test_a_subsampled_clip_has_relations_of_its_own_frames():
    assert abstract("resnet_tiny", "trn", frames=3).clip_head.num_frames == 3


def test_parameters_and_what_tsm_prints():
    """Its Table 2 prints 31.8 M, and 18.3 M for BN-Inception, with 400 classes."""
    for backbone, without_head, once, printed in (
        ("resnet50", 23_508_032, 27_047_728, "31.8"),
        ("bn_inception", 10_270_240, 13_547_792, "18.3"),
    ):
        model = abstract(backbone, "trn", num_classes=400)
        assert count(model) == once
        sizes = [count(relation) for relation in model.clip_head.scales]
        reduce = count(model.clip_head.reduce)
        assert without_head + reduce + sum(sizes) == once
        # Each relation as often as it is used: three times, that of all frames once.
        used = without_head + reduce + 3 * sum(sizes[:-1]) + sizes[-1]
        assert f"{used / 1e6:.1f}" == printed
