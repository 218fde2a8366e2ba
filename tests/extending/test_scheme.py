"""A scheme of one's own: a class and a row, and every backbone with its site takes it."""

import jax.numpy as jnp
import pytest
from flax import nnx

import vidshift
from tests.support import networks
from tests.support.networks import assert_learns, random_clips, tiny
from vidshift.kernels import Frames
from vidshift.nets.weights import named_arrays
from vidshift.shifts import SCHEMES, FrameMixer, NoPlaceError, Scheme, Site


class Decay(FrameMixer):
    """Adds the frame before, times `start` and a learned factor a channel."""

    title = "a decay"
    causal = True

    def __init__(self, channels: int, start: float):
        self.start = start
        self.factor = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Frames) -> Frames:
        clips = x.clips()
        before = jnp.pad(clips, ((0, 0), (1, 0), *[(0, 0)] * 3))[:, :-1]
        factor = (self.start + self.factor[...]).astype(clips.dtype)
        factor = factor.reshape(1, 1, 1, 1, -1)
        return Frames.of(clips + factor * before)


class Mine(Scheme):
    """A decay before every residual block."""

    causal = True

    def __init__(self, *, start: float = 0.5):
        self.start = start

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        if site.whole_block and site.residual:
            self.put(module, "before", Decay(site.kept_in, self.start))
        return module


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    monkeypatch.setitem(SCHEMES, "mine", Mine)


def abstract(backbone: str, **options) -> nnx.Module:
    return networks.abstract(backbone, "mine", **options)


def test_it_takes_its_options_and_learns():
    model = tiny("mine", start=0.25)
    assert [stage[0].before.start for stage in model.stages] == [0.25] * 3
    assert model.causal
    assert sum(name.endswith("before.factor") for name in named_arrays(model)) == 3
    clips = random_clips(2, 4, 16, 16, 3)
    assert_learns(vidshift.train_view(model), lambda model: model(clips))


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
def test_other_backbones_have_its_site(backbone):
    factors = [n for n in named_arrays(abstract(backbone)) if "before.factor" in n]
    assert len(factors) == {"resnet50": 16, "mobilenet_v2": 10}[backbone]


def test_a_backbone_without_its_site_and_a_wrong_option_are_refused():
    with pytest.raises(NoPlaceError, match="slow_tiny has no place for mine"):
        abstract("slow_tiny")
    with pytest.raises(ValueError, match="no option fold; it takes: .*start"):
        abstract("resnet_tiny", fold=1)
