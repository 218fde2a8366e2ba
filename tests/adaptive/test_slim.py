"""Slimmed networks: their arrays are leading slices, and slicing is masking."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import random_clips, random_network
from vidshift import create, train_view
from vidshift.adaptive import SubNetwork, narrow
from vidshift.adaptive.masked import check_masks, mask
from vidshift.layers.norm import batch_norms
from vidshift.layers.width import kept
from vidshift.nets.resnet import ResNet, bottleneck_units
from vidshift.nets.slowfast import SlowFast
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts import Scheme
from vidshift.shifts.gated import GSF
from vidshift.shifts.temporal import TSM, TSN


def residual(scheme: Callable[[], Scheme]):
    def make(width):
        return ResNet(
            scheme(),
            blocks=(1, 2),
            block_units=bottleneck_units,
            base=16,
            small_stem=True,
            width=width,
            num_classes=5,
            num_frames=4,
            rngs=nnx.Rngs(0),
        )

    return make


def slowfast(width):
    return SlowFast(
        TSN(),
        alpha=2,
        lateral_time=3,
        blocks=(1, 1, 1, 1),
        width=width,
        num_classes=5,
        num_frames=4,
        rngs=nnx.Rngs(0),
    )


NETWORKS = {
    "slowfast": slowfast,
    "tsm": residual(TSM),
    "gsf": residual(lambda: GSF(dtype=jnp.float32, rngs=nnx.Rngs(0))),
}


def with_masks(model, narrower):
    """The full network; its norms keep as many channels as the narrower one's."""
    kept = np.array([norm.scale.shape[0] for _, norm in batch_norms(narrower)])
    mask(model, jnp.asarray(kept), kept)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_slicing_is_masking(name, width=0.63):
    make = NETWORKS[name]
    full = random_network(lambda: make(1.0))
    skeleton, params, stats = split(train_view(full))
    thin, like, stats_like = split(train_view(nnx.eval_shape(lambda: make(width))))
    assert like.keys() == params.keys()
    clips, weights = random_clips(2, 4, 32, 32, 3), random_clips(2, 5, seed=2)
    masked = lambda params: with_masks(
        skeleton.merge(params, stats), nnx.eval_shape(lambda: make(width))
    )(clips)
    sliced = lambda params: thin.merge(narrow(params, like), narrow(stats, stats_like))(
        clips
    )
    with jax.default_matmul_precision("highest"):
        values, gradients = [], []
        for network in (masked, sliced):

            @jax.jit
            def both(params, network=network):
                value, pull = jax.vjp(network, params)
                return value, pull(weights)[0]

            value, gradient = both(params)
            values.append(value)
            gradients.append(gradient)
    scale = np.abs(values[0]).max()
    np.testing.assert_allclose(values[1], values[0], atol=1e-5 * scale)
    # Values agree to rounding; a gradient less so where one activation is so near to ReLU's
    # kink that rounding decides, so it is judged as a whole.
    size = lambda arrays: np.sqrt(sum(np.square(a).sum() for a in arrays))
    apart = size(gradients[0][key] - gradients[1][key] for key in like)
    assert apart < 1e-3 * size(gradients[0].values())
    if name == "slowfast":
        # What the Fast pathway gives is read, and learnt from, at every width.
        for key, always in (
            ("slow.stages.0.0.units.0.conv.kernel", 16),
            ("fc.kernel", 256),
        ):
            array = np.abs(gradients[1][key])
            by_input = array.max(
                tuple(i for i in range(array.ndim) if i != array.ndim - 2)
            )
            assert (by_input[:always] > 0).mean() > 0.5, key
    for key, gradient in gradients[1].items():
        outside = np.ones(gradient.shape, bool)
        outside[tuple(map(slice, like[key].shape))] = False
        assert not np.asarray(gradient)[outside].any(), key


def test_what_the_fast_pathway_gives_is_always_kept():
    full = named_arrays(nnx.eval_shape(lambda: slowfast(1.0)), nnx.Param)
    thin = named_arrays(nnx.eval_shape(lambda: slowfast(0.5)), nnx.Param)
    for name, array in full.items():
        if name.startswith(("fast.", "lateral.")):
            assert thin[name].shape == array.shape, name
    # The lateral convolution's channels come first; a leading slice has all of them.
    fused = "slow.stages.0.0.units.0.conv.kernel"
    assert full[fused].shape[-2:] == (16 + 64, 64)
    assert thin[fused].shape[-2:] == (16 + 32, 32)
    assert thin["fc.kernel"].shape == (256 + 1024, 5)


@pytest.mark.parametrize(
    ("channels", "width", "wanted"),
    [
        (64, 0.9, 56),
        (256, 0.9, 232),
        (64, 0.5, 32),
        (64, 0.63, 40),
        (2048, 0.83, 1696),
        (8, 0.5, 8),
        (64, 0.1, 8),
        (16, 0.63, 16),  # 8 would be less than 90 % of 10.08
        (12, 1.0, 12),
        (20, 0.95, 20),
    ],
)
def test_how_many_are_kept(channels, width, wanted):
    assert kept(channels, width) == wanted


@pytest.mark.parametrize("width", [0, 1.1, -0.5])
def test_a_width_is_a_share(width):
    with pytest.raises(ValueError, match="width must be in"):
        kept(64, width)


@pytest.mark.parametrize(
    ("backbone", "temporal", "width", "message"),
    [
        ("resnet_tiny", "vsn", 0.5, "vsn cannot be slimmed"),
        ("resnet50", "gsf", 0.2, "fewer than the 64 that pass the gate"),
        ("resnet50", "tsm", 0.1, "fewer than the 16 that tsm moves"),
        ("bn_inception", "tsm", 0.5, "bn_inception cannot be slimmed"),
        ("rubiksnet_micro", "tsn", 0.5, "rubiksnet_micro cannot be slimmed"),
    ],
)
def test_what_cannot_be_slimmed_says_so(backbone, temporal, width, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(
            lambda: create(backbone, temporal, num_classes=2, num_frames=4, width=width)
        )


@pytest.mark.slow(but=("tsm",))
@pytest.mark.parametrize("temporal", ["tsn", "tsm", "gsf", "i3d", "trn"])
def test_every_array_of_mobilenet_is_a_leading_slice(temporal):
    make = lambda width: nnx.eval_shape(
        lambda: create(
            "mobilenet_v2", temporal, num_classes=2, num_frames=4, width=width
        )
    )
    full, thin = (named_arrays(make(width)) for width in (1.0, 0.6))
    assert full.keys() == thin.keys()
    for name in full:
        assert len(full[name].shape) == len(thin[name].shape)
        assert np.all(np.less_equal(thin[name].shape, full[name].shape)), name
    assert sum(a.size for a in thin.values()) < 0.6 * sum(a.size for a in full.values())


def test_names_of_sub_networks():
    one = SubNetwork(0.63, 142, 3)
    assert str(one) == "142x3,0.63"
    assert SubNetwork.parse(" 142x3,0.63") == one
    for wrong in ("142x3", "142,3,0.63", "x3,0.5", "142x3,a"):
        with pytest.raises(ValueError, match="SIDExFRAMES,WIDTH"):
            SubNetwork.parse(wrong)
    model = {"backbone": "slow_8x8_r50", "head_size": 224, "num_frames": 8}
    assert one.of(model) == {
        "backbone": "slow_8x8_r50",
        "num_frames": 8,
        "width": 0.63,
        "side": 142,
        "frames": 3,
    }
    # The window of a larger one is the full network's, so that both are tested alike.
    assert SubNetwork(1.0, 256, 8).of(model)["head_size"] == 224


@pytest.mark.slow
def test_masks_need_a_norm_behind_every_narrowed_layer():
    model = {"backbone": "resnet50", "temporal": "tsm", "num_classes": 2}
    model |= {"num_frames": 8}
    one = SubNetwork(0.63, 128, 2)
    check_masks(model, one.of(model))
    model["non_local"] = True
    with pytest.raises(ValueError, match="after.g of resnet50 has none: take grid"):
        check_masks(model, one.of(model))
