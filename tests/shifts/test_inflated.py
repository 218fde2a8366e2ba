"""I3D's convolutions over time in place of a shift."""

from tests.support.networks import abstract
from vidshift.layers.time_conv import TimeConv
from vidshift.nets.weights import named_arrays


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
