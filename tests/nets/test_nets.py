"""Every network by name, and what all of them promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.networks import count, random_clips, random_network, resnet, tiny
from vidshift import BACKBONES, SCHEMES, create, train_view
from vidshift.nets.weights import named_arrays
from vidshift.nets.zoo import NoPlaceError, without_scheme

# Parameters without the head, and the head's inputs. The ImageNet networks' counts are
# torchvision's less its head of 1,000 classes, RubiksNets' the official code's less one
# of 174; the small networks' were added up by hand.
PARAMETERS = {
    "resnet18": (11_176_512, 512),
    "resnet34": (21_284_672, 512),
    "resnet50": (23_508_032, 2048),
    "resnet101": (42_500_160, 2048),
    "resnext101_32x4d": (42_128_704, 2048),
    "mobilenet_v2": (2_223_872, 1280),
    "bn_inception": (10_270_240, 1024),
    "inception_v3": (21_802_784, 2048),
    "rubiksnet_tiny": (1_823_418, 432),
    "rubiksnet_small": (3_496_968, 576),
    "rubiksnet_medium": (6_085_224, 576),
    "rubiksnet_large": (8_437_896, 576),
    "rubiksnet_micro": (32_724, 108),
    "resnet_tiny": (77_392, 64),
    "slow_tiny": (145_552, 256),
    # PySlowFast's counts less their heads of 400 classes.
    "slow_8x8_r50": (31_634_496, 2048),
    "slowfast_4x16_r50": (33_558_216, 2304),
    "slowfast_8x8_r50": (33_644_488, 2304),
}


def abstract(backbone, temporal="tsn", **options) -> nnx.Module:
    return networks.abstract(
        backbone, temporal, **({"num_classes": 10, "num_frames": 4} | options)
    )


# Backbone -> the schemes it has a place for, besides TSN.
RESIDUAL = {"tsm", "vsn", "gsm", "gsf", "i3d", "trn"}
PLACES = {
    "resnet50": RESIDUAL | {"gst"},
    "resnet101": RESIDUAL | {"gst"},
    "mobilenet_v2": RESIDUAL,
    "bn_inception": {"tsm", "gsm", "gsf", "trn"},
    "inception_v3": {"tsm", "gsm", "gsf", "trn"},
    # They mix time by themselves; a RubiksNet's head takes frames.
    **{b: {"trn"} for b in BACKBONES if b.startswith("rubiksnet_")},
    **{b: set() for b in BACKBONES if b.startswith("slow")},
}
# A compact shuffle mixes nothing around a convolution of so many groups of channels.
HEADTAIL = {"shuffle_block": "headtail"}
OPTIONS = dict.fromkeys(
    [("mobilenet_v2", "vsn"), ("resnext101_32x4d", "vsn")], HEADTAIL
)


@pytest.mark.exhaustive(
    but=(
        "*_micro",
        "*_tiny",
        "resnet18",
        "resnet50",
        "mobilenet_v2",
        "bn_inception",
        "slowfast_4x16_r50",
        "rubiksnet_large",
    )
)
@pytest.mark.slow(
    but=(
        "rubiksnet_micro",
        "resnet_tiny",
        "slow_tiny",
    )
)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_output_shapes_parameter_counts_and_places(backbone):
    clips = jax.ShapeDtypeStruct((2, 8, 64, 64, 3), jnp.float32)
    body, features = PARAMETERS[backbone]
    for temporal in SCHEMES:
        options = {"num_frames": 8} | OPTIONS.get((backbone, temporal), {})
        if temporal not in PLACES.get(backbone, RESIDUAL) | {"tsn"}:
            with pytest.raises(NoPlaceError, match=f"no place for {temporal}"):
                abstract(backbone, temporal, **options)
            continue
        model = abstract(backbone, temporal, **options)
        # Heads over time.
        if backbone.startswith("slow") or temporal == "trn":
            logits = jax.eval_shape(lambda m, c: m(c), model, clips)
            assert logits.shape == (2, 10)
        else:
            logits = jax.eval_shape(lambda m, c: m.frame_logits(c), model, clips)
            assert logits.shape == (2, 8, 10)
        if temporal in ("tsn", "tsm", "vsn"):
            assert count(model) == body + 10 * features + 10
        elif temporal == "gst":  # half of the channels meet half of them
            assert count(model) < body
        else:
            assert count(model) > body + 10 * features + 10


def test_without_a_scheme():
    sizes = {"num_classes": 12, "num_frames": 8, "dtype": "float32", "in_channels": 10}
    backbone = {"backbone": "resnet_tiny", "dropout": 0.0}
    of_scheme = {"temporal": "tsm", "fold_div": 4, "causal": True, "non_local": True}
    arguments = backbone | sizes | of_scheme | {"side": 16}
    assert without_scheme(arguments) == backbone | sizes | {"temporal": "tsn"}


def test_side_is_divided_by_32():
    features = jax.eval_shape(
        lambda m, c: m.features(c, layer="spatial"),
        abstract("resnet18"),
        jax.ShapeDtypeStruct((1, 2, 224, 160, 3), jnp.float32),
    )
    assert features.shape == (1, 2, 7, 5, 512)


def test_bfloat16_computes_in_it_and_keeps_float32():
    exact, rounded = tiny(), tiny(dtype="bfloat16")
    clips = random_clips(1, 2, 8, 8, 3)
    assert {a.dtype for a in named_arrays(rounded).values()} == {jnp.dtype("float32")}
    features = jax.eval_shape(
        lambda m, c: m.features(c, layer="spatial"), rounded, clips
    )
    assert features.dtype == jnp.bfloat16
    run = jax.jit(lambda m, c: m(c))
    logits = run(rounded, clips)
    assert logits.dtype == jnp.float32
    expected = run(exact, clips)
    error = jnp.abs(logits - expected).max() / jnp.abs(expected).max()
    assert 1e-5 < error < 0.05  # bfloat16 keeps 8 bits, 0.4 % a rounding


def test_logits_are_the_mean_over_frames():
    model, clips = tiny(), random_clips(2, 4, 8, 8, 3)
    whole, by_frame = jax.jit(lambda c: (model(c), model.frame_logits(c)))(clips)
    np.testing.assert_allclose(whole, by_frame.mean(1), rtol=1e-6)


def test_frames_may_have_other_channels():
    model = abstract("resnet18", in_channels=10)
    assert model.stem.conv.kernel.shape == (7, 7, 10, 64)
    with pytest.raises(ValueError, match=r"\[B, T, H, W, 10\], got \(1, 2, 8, 8, 3\)"):
        model(jnp.zeros((1, 2, 8, 8, 3)))


def test_wrong_clips():
    with pytest.raises(ValueError, match=r"\[B, T, H, W, 3\], got \(2, 8, 8, 3\)"):
        tiny()(jnp.zeros((2, 8, 8, 3)))


@pytest.mark.slow(
    but=(
        "arguments[0-9]-*",
        "arguments1[0-3]-*",
    )
)
@pytest.mark.parametrize(
    ("arguments", "options", "messages"),
    [
        (("resnet5",), {}, ["backbone 'resnet5'", "'resnet50'", *BACKBONES]),
        (("resnet18", "tms"), {}, ["scheme 'tms'", ", ".join(SCHEMES)]),
        (
            ("resnet18", "tsm"),
            {"fold": 8},
            ["no option fold;", "causal, dropout, every_second_block, fold_div"],
        ),
        (("resnet18", "tsn"), {"fold_div": 8}, ["tsn", "it takes: causal, dropout"]),
        (("resnet18",), {"num_classes": 0}, ["num_classes must be", "got 0"]),
        (("resnet18",), {"num_frames": -1}, ["num_frames must be", "got -1"]),
        (("resnet18",), {"in_channels": 0}, ["in_channels must be", "got 0"]),
        (("resnet18",), {"dtype": "int32"}, ["dtype must be a floating type"]),
        (("resnet18",), {"dtype": "floaty"}, ["dtype must be a floating type"]),
        (("resnet18",), {"dropout": True}, ["dropout must be", "got True"]),
        # What reads later frames.
        (("slow_8x8_r50",), {"causal": True}, ["slow_8x8_r50 reads later frames"]),
        (
            ("rubiksnet_micro", "vsn"),
            {"causal": True, "variant": "spatial"},
            ["rubiksnet_micro with vsn has no option causal"],
        ),
        (
            ("resnet18", "vsn"),
            {"temporal_pool": True},
            ["num_frames=4 frames, of which", "shuffle_stages=(0,)"],
        ),
        # Places that are not there.
        (("resnet_tiny", "gsf"), {"modules": 100}, ["no place for gsf in 100 blocks"]),
        (
            ("bn_inception", "gsm"),
            {"elsewhere": {(9, 9): None}},
            ["no place for gsm in block 9 of stage 9"],
        ),
    ],
)
def test_errors_name_what_would_be_right(arguments, options, messages):
    with pytest.raises(ValueError) as error:
        abstract(*arguments, **options)
    for message in messages:
        assert message in str(error.value)


def statistics(model) -> dict[str, np.ndarray]:
    return {k: np.array(v) for k, v in named_arrays(model, nnx.BatchStat).items()}


@pytest.mark.slow
def test_train_view_shares_parameters_and_updates_statistics():
    model = random_network(lambda: resnet((1,)))
    clips = random_clips(2, 3, 8, 8, 3)
    before = statistics(model)
    model(clips)
    for name, array in statistics(model).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    training = train_view(model)
    training(clips)
    for name, array in statistics(model).items():
        assert (array != before[name]).all(), name
    training.fc.bias[...] = jnp.full(4, 7.0)
    assert model.fc.bias[...].tolist() == [7.0] * 4
    after = statistics(model)
    model(clips)  # the model itself stayed in evaluation mode
    for name, array in statistics(model).items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)


def test_dropout_acts_in_training_and_needs_a_key():
    model = random_network(lambda: resnet((), dropout=0.5))
    clips = random_clips(2, 3, 4, 4, 3)
    without = random_network(lambda: resnet(()))
    np.testing.assert_array_equal(model(clips), without(clips))
    training = train_view(model)
    with pytest.raises(ValueError, match="rngs"):
        training(clips)
    first = training(clips, rngs=jax.random.key(0))
    # Running statistics moved meanwhile, around which batch statistics are summed.
    same, other = (training(clips, rngs=jax.random.key(k)) for k in (0, 1))
    np.testing.assert_allclose(first, same, atol=1e-6)
    assert not np.allclose(first, other, atol=1e-3)


def test_the_past_alone_where_nothing_else_is_read():
    abstract("rubiksnet_micro", "tsm", variant="spatial", causal=True)
    abstract("rubiksnet_micro", variant="attention", causal=True)
    abstract("resnet_tiny", "vsn", temporal_pool=True, shuffle_stages=(0,))


WAYS = ("__call__", "frame_logits", "features", "stream_logits")
CALLS = [("resnet_tiny", way) for way in WAYS] + [("slow_tiny", "__call__")]


@pytest.mark.parametrize(("name", "way"), CALLS)
def test_pixels_that_nobody_normalised_are_refused(name, way):
    def run(dtype):
        model = create(name, num_classes=2, num_frames=8, rngs=nnx.Rngs(0))
        clips = jnp.ones((1, 8, 32, 32, 3), dtype)
        return getattr(model, way)(clips[:, 0] if way == "stream_logits" else clips)

    for dtype in ("uint8", "int32", "bool"):
        with pytest.raises(ValueError, match=f"normalised floats, got {dtype}: "):
            jax.eval_shape(lambda dtype=dtype: run(dtype))
    if way != "stream_logits":
        jax.eval_shape(lambda: run(jnp.float16))
