"""Layers that mix frames, on clips of several devices: no device needs another's."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tests.support.collectives import collectives
from tests.support.networks import random_clips, random_network
from vidshift.kernels import Frames
from vidshift.layers.time_conv import TimeConv
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.motion_squeeze import MotionSqueeze
from vidshift.shifts.non_local import NonLocal
from vidshift.shifts.shuffle import VideoShuffle
from vidshift.shifts.temporal_pool import TemporalPool


def lateral_conv() -> TimeConv:
    padding = ((2, 2), (0, 0), (0, 0))
    return TimeConv(8, 8, (5, 1, 1), (4, 1, 1), padding=padding, rngs=nnx.Rngs(0))


LAYERS = {
    "shuffle": lambda: VideoShuffle(4),
    "pooling": TemporalPool,
    "non_local": lambda: NonLocal(8, rngs=nnx.Rngs(0)),
    "motion_squeeze": lambda: MotionSqueeze(8, rngs=nnx.Rngs(0)),
    "gate": lambda: GateShiftFuse(8, 8, rngs=nnx.Rngs(0)),
    "lateral_conv": lateral_conv,
}


@pytest.mark.parametrize("name", LAYERS)
def test_devices_exchange_nothing(devices, name):
    layer, clips = random_network(LAYERS[name]), random_clips(8, 4, 2, 2, 8)
    program = jax.jit(lambda clips: layer(Frames.of(clips)).clips())
    expected = program(clips)
    shared = jax.device_put(clips, NamedSharding(devices, PartitionSpec("data")))
    with jax.set_mesh(devices):
        compiled = program.lower(shared).compile()
    assert collectives(compiled.as_text()) == []
    np.testing.assert_allclose(compiled(shared), expected, rtol=1e-5, atol=1e-6)
