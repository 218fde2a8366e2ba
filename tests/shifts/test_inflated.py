"""I3D's convolutions over time in place of a shift."""

import jax
import numpy as np
import pytest
from flax import nnx

from kernels import Frames
from tests.support import networks
from tests.support.networks import random_clips, random_network
from vidshift import create
from vidshift.layers.time_conv import TimeConv
from vidshift.nets.weights import named_arrays
from vidshift.nets.zoo import NoPlaceError


def abstract(backbone, temporal, **options) -> nnx.Module:
    return networks.abstract(backbone, temporal, **({"num_classes": 400} | options))


def test_parameters_of_tsms_table_5():
    model = abstract("resnet50", "i3d")
    # 33.0 M: two more taps for the first convolution of 16 blocks.
    arrays = named_arrays(model, nnx.Param)
    assert sum(a.size for a in arrays.values()) == 24_327_632 + 2 * 4_329_472


def test_names_stay_and_the_first_units_see_three_frames():
    plain, inflated = (
        named_arrays(abstract("resnet18", temporal)) for temporal in ("tsn", "i3d")
    )
    assert plain.keys() == inflated.keys()
    for name, array in inflated.items():
        first = name.endswith("units.0.conv.kernel")
        before = (3,) * first
        assert array.shape == before + plain[name].shape, name


def test_values_are_those_of_a_3d_convolution():
    model = random_network(
        lambda: create("resnet_tiny", "i3d", num_classes=4, num_frames=4)
    )
    conv = model.stages[1][0].units[0].conv
    assert isinstance(conv, TimeConv) and conv.strides == (1, 2, 2)
    clips = random_clips(2, 4, 6, 6, 16)
    expected = jax.lax.conv_general_dilated(
        clips,
        conv.kernel[...],
        (1, 2, 2),
        ((1, 1),) * 3,
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )
    np.testing.assert_allclose(conv(Frames.of(clips)).clips(), expected, atol=1e-5)


def test_backbones_that_convolve_over_time_have_no_place():
    with pytest.raises(NoPlaceError, match="slow_8x8_r50 has no place for i3d"):
        abstract("slow_8x8_r50", "i3d")
