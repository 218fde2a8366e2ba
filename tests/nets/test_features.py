"""Features before the head, for every kind of network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.nets.test_slowfast import slowfast
from tests.support.networks import abstract, random_clips, random_network
from vidshift import BACKBONES, create
from vidshift.nets.video_network import LAYERS

# Networks that are quick, one of each kind, and their frames.
SMALL = {
    "resnet_tiny": (lambda: named("resnet_tiny", "tsm"), 4),
    "rubiksnet_micro": (lambda: named("rubiksnet_micro"), 4),
    "slow_tiny": (lambda: named("slow_tiny"), 4),
    "slowfast": (slowfast, 8),
}


def named(backbone, temporal="tsn"):
    return create(backbone, temporal, num_classes=4, num_frames=4)


@jax.jit
def everything(model, clips):
    layers = {layer: model.features(clips, layer=layer) for layer in LAYERS}
    return layers, model(clips), model.fc(layers["pooled"])


@pytest.mark.parametrize("kind", SMALL)
def test_logits_are_the_heads_of_the_pooled_features(kind):
    make, frames = SMALL[kind]
    model = random_network(make)
    clips = random_clips(2, frames, 32, 32, 3)
    layers, logits, of_features = everything(model, clips)
    channels = model.fc.in_features
    assert layers["pooled"].shape == (2, channels)
    assert layers["frames"].shape == (2, frames, channels)
    assert layers["spatial"].shape[:2] == (2, frames) and layers["spatial"].ndim == 5
    scale = float(np.abs(logits).max())
    np.testing.assert_allclose(of_features, logits, atol=1e-5 * scale)
    assert np.abs(logits).min() > 0
    vectors = np.asarray(layers["frames"])
    tolerance = {"rtol": 1e-4, "atol": 1e-5 * np.abs(vectors).max()}
    np.testing.assert_allclose(layers["spatial"].mean((2, 3)), vectors, **tolerance)
    # A slower pathway's frames stand for several each.
    np.testing.assert_allclose(vectors.mean(1), layers["pooled"], **tolerance)


@pytest.mark.exhaustive(but=("mobilenet_v2", "bn_inception", "slowfast_4x16_r50"))
@pytest.mark.parametrize("backbone", sorted(BACKBONES.keys() - SMALL.keys()))
def test_shapes_of_the_layers(backbone):
    frames = 32 if backbone.startswith("slow") else 4
    model = abstract(backbone, num_frames=frames)
    side = 75 if backbone == "inception_v3" else 64
    clips = jax.ShapeDtypeStruct((2, frames, side, side, 3), jnp.float32)
    channels = model.fc.in_features
    shape = lambda layer: (
        jax.eval_shape(lambda m, c: m.features(c, layer=layer), model, clips).shape
    )
    assert shape("pooled") == (2, channels)
    assert shape("frames") == (2, frames, channels)
    spatial = shape("spatial")
    assert spatial[:2] == (2, frames) and spatial[-1] == channels


def test_layers_have_names():
    model = abstract("resnet_tiny")
    clips = jnp.zeros((1, 8, 32, 32, 3))
    with pytest.raises(ValueError, match="layer must be one of .*pooled.*got 'last'"):
        model.features(clips, layer="last")
