"""I3D's convolutions over time in place of a shift, in both layouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.networks import abstract, count, in_parts, random_clips
from vidshift.layers.time_conv import TimeConv
from vidshift.nets.weights import named_arrays
from vidshift.shifts import NoPlaceError
from vidshift.shifts.inflated import StemConv
from vidshift.shifts.temporal_pool import TemporalPool

NON_LOCAL = {"layout": "non_local"}


def test_names_stay_and_the_first_units_see_three_frames():
    plain, inflated = (
        named_arrays(abstract("resnet_tiny", temporal)) for temporal in ("tsn", "i3d")
    )
    assert plain.keys() == inflated.keys()
    for name, array in inflated.items():
        first = name.endswith("units.0.conv.kernel")
        before = (3,) * first
        assert array.shape == before + plain[name].shape, name


def test_a_first_unit_keeps_its_stride():
    conv = abstract("resnet_tiny", "i3d").stages[1][0].units[0].conv
    assert isinstance(conv, TimeConv) and conv.strides == (1, 2, 2)
    assert conv.padding == ((1, 1),) * 3


@pytest.mark.slow
def test_layout_of_the_non_local_papers_baseline():
    model = abstract("resnet50", "i3d", num_classes=400, **NON_LOCAL)
    inflated = {
        (stage, block)
        for stage, blocks in enumerate(model.stages)
        for block, module in enumerate(blocks)
        if isinstance(module.units[0].conv, TimeConv)
    }
    # The lists of facebookresearch/video-nonlocal-net.
    lists = [1, 1, 1], [1, 0, 1, 0], [1, 0, 1, 0, 1, 0], [0, 1, 0]
    assert inflated == {
        (s, b) for s, ones in enumerate(lists) for b in np.nonzero(ones)[0]
    }
    assert model.stem.conv.kernel.shape == (5, 7, 7, 3, 64)
    pooled = [
        (s, b)
        for s, blocks in enumerate(model.stages)
        for b, module in enumerate(blocks)
        if isinstance(module.before, TemporalPool)
    ]
    assert pooled == [(0, 0), (1, 0)]
    clips = jax.ShapeDtypeStruct((1, 32, 64, 64, 3), jnp.float32)
    spatial = lambda m, c: m.features(c, layer="spatial")
    assert jax.eval_shape(spatial, model, clips).shape[1] == 4
    # 28.0 M as the same network has in other public code; TSM prints 29.3 M, which is it
    # with ImageNet's head of 1,000 classes.
    assert count(model) == 28_043_472
    of_imagenet = abstract("resnet50", "i3d", num_classes=1000, **NON_LOCAL)
    assert count(of_imagenet) == 29_272_872


@pytest.mark.parametrize(("frames", "parts"), [(1, 1), (5, 1), (6, 2)])
def test_the_stem_sees_five_frames_around_every_second(frames, parts):
    conv = abstract("resnet18", "i3d", **NON_LOCAL).stem.conv
    assert isinstance(conv, StemConv) and not conv.bias
    kernel = random_clips(*conv.kernel.shape, seed=2)
    conv.kernel.set_value(kernel)
    clips = random_clips(2, frames, 8, 10, 3)
    found = jax.jit(lambda clips: conv(in_parts(clips, parts)).clips())(clips)
    padded = np.pad(clips, ((0, 0), (2, 2), (3, 3), (3, 3), (0, 0)))
    assert found.shape == (2, (frames + 1) // 2, 4, 5, 64)
    for t, h, w in np.ndindex(found.shape[1:4]):
        window = padded[:, 2 * t : 2 * t + 5, 2 * h : 2 * h + 7, 2 * w : 2 * w + 7]
        expected = np.einsum("bthwc,thwco->bo", window, kernel)
        np.testing.assert_allclose(found[:, t, h, w], expected, rtol=1e-3, atol=1e-3)


def test_refusals():
    with pytest.raises(
        ValueError, match="layout must be one of .*'non_local'.*got 'all'"
    ):
        abstract("resnet50", "i3d", layout="all")
    with pytest.raises(NoPlaceError, match="resnet_tiny has no place for i3d in a 7x7"):
        abstract("resnet_tiny", "i3d", **NON_LOCAL)
