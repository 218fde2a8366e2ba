"""A backbone of one's own: a network and a row, and every scheme with a site fits it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.networks import random_clips
from vidshift.kernels import Frames
from vidshift.nets import BACKBONES, Backbone, drawn
from vidshift.nets.frame_network import FrameNetwork
from vidshift.nets.resnet import ResidualBlock
from vidshift.nets.units import conv_unit, in_order, placed
from vidshift.pixels import official_pixels
from vidshift.shifts import NoPlaceError, Scheme, Site


class Toy(FrameNetwork):
    """A stem and one residual block of a unit."""

    def __init__(
        self,
        scheme: Scheme,
        *,
        channels: int = 8,
        in_channels: int = 3,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
        **network,
    ):
        layer = {"dtype": dtype, "rngs": rngs}
        self.stem = conv_unit(in_channels, channels, 3, 2, **layer)
        site = partial(Site, 0, 0, 1, units=1)
        sizes = {"in_channels": channels, "out_channels": channels}
        unit = conv_unit(channels, channels, 3, activation=None, **layer)
        units = placed(scheme, site, [(channels, channels, unit)])
        block = scheme.place(site(unit=None, **sizes), ResidualBlock(units, None))
        self.stages = nnx.List([nnx.List([block])])
        super().__init__(channels, in_channels=in_channels, **layer, **network)

    def body(self, x: Frames) -> Frames:
        return in_order(self.stages, self.stem(x))


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    row = Backbone(make=Toy, options=("dropout", "channels"), crop=96)
    monkeypatch.setitem(BACKBONES, "toy", row)


def created(temporal: str = "tsn", **options) -> nnx.Module:
    return networks.abstract("toy", temporal, **options)


def frames_that_see_frame_2(temporal: str, **options) -> set[int]:
    model = drawn.random_network(created(temporal, **options))
    clips = random_clips(1, 4, 8, 8, 3)
    logits = jax.jit(lambda clips: model.frame_logits(clips))
    before, after = logits(clips), logits(clips.at[:, 2].add(1.0))
    return set(np.flatnonzero((before != after).any((0, 2))).tolist())


@pytest.mark.parametrize(
    ("temporal", "options", "seen"),
    [
        ("tsn", {}, {2}),
        ("tsm", {}, {1, 2, 3}),
        ("tsm", {"causal": True, "channels": 16}, {2, 3}),
        ("gsf", {"ratio": 1.0}, {0, 1, 2, 3}),
    ],
)
def test_schemes_fill_its_sites(temporal, options, seen):
    assert frames_that_see_frame_2(temporal, **options) == seen


def test_its_row_is_asked_for_what_others_are():
    assert created(channels=16).fc.kernel.shape == (16, 4)
    assert official_pixels("toy", bgr=False).crop == 96
    with pytest.raises(ValueError, match="toy cannot be slimmed"):
        created(width=0.5)
    with pytest.raises(NoPlaceError, match="toy has no place for non_local in block"):
        created(non_local=True)
