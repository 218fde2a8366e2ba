"""A stream's answers are those of the whole clip."""

import jax
import numpy as np
import pytest

from tests.networks import random_network
from vidshift import create, stream

SIDE, FRAMES = 32, 6
RNG = np.random.default_rng(0)


def network(backbone, temporal, **options):
    return random_network(
        lambda: create(backbone, temporal, num_classes=5, num_frames=FRAMES, **options)
    )


def clips(batch=2, frames=FRAMES, side=SIDE, channels=3):
    shape = (batch, frames, side, side, channels)
    return RNG.standard_normal(shape).astype(np.float32)


def streamed(model, video, **options):
    init, step = stream.make(model, **options)
    cache = init(video.shape[0], video.shape[2:4])
    found = []
    for t in range(video.shape[1]):
        logits, cache = step(cache, video[:, t])
        found.append(logits)
    return np.stack(found, 1)


NETWORKS = [
    ("resnet_tiny", "tsn", {}),
    ("resnet_tiny", "tsm", {"causal": True}),
    ("resnet_tiny", "tsm", {"causal": True, "placement": "block"}),
    ("resnet50", "tsm", {"causal": True}),
    ("mobilenet_v2", "tsm", {"causal": True}),
]


@pytest.mark.parametrize(("backbone", "temporal", "options"), NETWORKS)
def test_every_frame_is_answered_as_offline(backbone, temporal, options):
    model, video = network(backbone, temporal, **options), clips()
    offline = jax.jit(lambda clip: model.frame_logits(clip))(video)
    online = streamed(model, video)
    scale = np.abs(offline).max()
    assert np.abs(online - offline).max() <= 1e-5 * scale
