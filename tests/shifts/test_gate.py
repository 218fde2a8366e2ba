"""GSM and GSF: the official module's values, places, sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.files import GOLDEN
from tests.support.networks import assert_learns, count, random_clips, random_network
from vidshift import create
from vidshift.kernels import Frames
from vidshift.nets.units import conv_unit
from vidshift.nets.weights import named_arrays
from vidshift.shifts.gate import GatedUnit, GateShiftFuse

GOLDEN = GOLDEN / "gsf_module.npz"
FRAMES = 4


def to_clips(x):
    """(N*T, C, H, W) -> [N, T, H, W, C]."""
    return x.reshape(-1, FRAMES, *x.shape[1:]).transpose(0, 1, 3, 4, 2)


def module(channels, processed, **options):
    return GateShiftFuse(channels, processed, rngs=nnx.Rngs(0), **options)


@pytest.fixture(params=["gsf_full", "gsf_25"])
def official(request):
    with np.load(GOLDEN) as file:
        prefix = f"{request.param}/"
        given = {k.removeprefix(prefix): file[k] for k in file if k.startswith(prefix)}
    layer = module(given["x"].shape[1], 16)

    def set_(variable, array):
        assert variable.shape == array.shape
        variable[...] = jnp.asarray(array)

    set_(layer.gate.kernel, given["conv3D.weight"].transpose(2, 3, 4, 1, 0))
    set_(layer.gate.bias, given["conv3D.bias"])
    for ours, theirs in (
        ("scale", "weight"),
        ("bias", "bias"),
        ("mean", "running_mean"),
        ("var", "running_var"),
    ):
        set_(getattr(layer.norm, ours), given[f"bn.{theirs}"])
    for i, conv in enumerate(layer.fusion, start=1):
        kernel = given[f"channel_conv{i}.weight"].transpose(2, 3, 1, 0)
        set_(conv.kernel, kernel)
        set_(conv.bias, given[f"channel_conv{i}.bias"])
    return layer, given


def call(layer, clips):
    return jax.jit(lambda m, c: m(Frames.of(c)).clips())(layer, clips)


def test_official_values_in_evaluation(official):
    layer, given = official
    y = call(layer, to_clips(given["x"]))
    np.testing.assert_allclose(y, to_clips(given["y_eval"]), atol=1e-5)


@pytest.mark.slow(but=("gsf_25",))
def test_official_values_and_statistics_in_training(official):
    layer, given = official
    training = nnx.view(layer, use_running_average=False)
    y = training(Frames.of(jnp.asarray(to_clips(given["x"])))).clips()
    np.testing.assert_allclose(y, to_clips(given["y_train"]), atol=1e-5)
    for name in ("mean", "var"):
        after = given[f"bn_running_{name}_after_train"]
        np.testing.assert_allclose(getattr(training.norm, name)[...], after, atol=1e-6)


def by_hand(x, gate, causal=False):
    """Clips `[B, T, H, W, C]` under a fixed gate and a sum."""
    y = np.zeros_like(x)
    frames, channels = x.shape[1], x.shape[-1]
    half = channels // 2
    for t in range(frames):
        for c in range(channels):
            source = t + 1 if c < half and not causal else t - 1
            moved = gate * x[:, source, ..., c] if 0 <= source < frames else 0
            # Each half's two quarters take turns.
            place = c % half
            to = c // half * half + place % (half // 2) * 2 + place // (half // 2)
            y[:, t, ..., to] = moved + (1 - gate) * x[:, t, ..., c]
    return y


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("gate", GateShiftFuse.FIXED)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_fixed_gate_and_a_sum_by_hand(gate, frames, causal):
    clips = np.asarray(random_clips(2, frames, 2, 3, 11))
    layer = module(11, 8, gate=gate, fusion="sum", causal=causal)
    assert not named_arrays(layer)
    moved = by_hand(clips[..., :8], gate, causal)
    expected = np.concatenate([moved, clips[..., 8:]], -1)
    np.testing.assert_allclose(call(layer, clips), expected, atol=1e-6)


def a_frame_of_zeros_first(clips):
    """In which frame t is where frame t - 1 was."""
    return jnp.pad(clips, [(0, 0), (1, 0), (0, 0), (0, 0), (0, 0)])


def test_a_causal_gate_reads_what_the_other_does_a_frame_before():
    both, past = (
        random_network(partial(module, 8, 8, causal=causal)).gate
        for causal in (False, True)
    )
    clips = random_clips(2, FRAMES, 4, 3, 8)
    found = past(Frames.of(clips))
    x = Frames.of(a_frame_of_zeros_first(clips))
    expected = x.like(both(x)).clips()[:, :-1]
    np.testing.assert_allclose(
        Frames.of(clips).like(found).clips(), expected, atol=1e-5
    )


def test_a_causal_fusion_reads_what_the_other_does_a_frame_before():
    both, past = (
        random_network(partial(module, 8, 8, causal=causal)) for causal in (False, True)
    )
    parts = [random_clips(2, FRAMES, 4, 3, 8, seed=seed) for seed in (1, 2)]

    def weights(layer, *parts):
        frames = [Frames.of(part) for part in parts]
        means = [x.data.mean((0, 1)) for x in frames]
        return frames[0].like(layer._weights(frames[0], means)).clips()

    found = weights(past, *parts)
    expected = weights(both, *map(a_frame_of_zeros_first, parts))[:, :-1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_gated_unit_moves_no_channels(training):
    """It is the unit with a gate in its slot, and permutes nothing but parameters."""

    def unit():
        unit = conv_unit(4, 12, 1, use_bias=True, rngs=nnx.Rngs(0))
        unit.between = nnx.data(module(12, 8))
        return unit

    plain = random_network(unit)
    gated = GatedUnit(plain.conv, plain.norm, plain.activation)
    gated.between = plain.between
    clips = random_clips(2, FRAMES, 16, 16, 4)
    results = []
    for layer in (plain, gated):
        view = nnx.view(nnx.clone(layer), use_running_average=not training)
        results.append((view(Frames.of(clips)).clips(), named_arrays(view)))
    (expected, arrays), (found, gated_arrays) = results
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for name, array in arrays.items():
        np.testing.assert_allclose(gated_arrays[name], array, atol=1e-5)

    def moved(layer):
        frames = Frames.of(clips)
        jaxpr = jax.make_jaxpr(lambda data: layer(frames.like(data)).data)(frames.data)
        return [
            eqn
            for eqn in jaxpr.eqns
            if eqn.primitive.name == "transpose"
            and eqn.outvars[0].aval.size >= 8 * clips[..., 0].size // 2
        ]

    assert len(moved(plain)) == 2 and not moved(gated)


def test_bfloat16_is_close():
    exact, rounded = (
        random_network(partial(module, 8, 8, dtype=d)) for d in ("float32", "bfloat16")
    )
    clips = random_clips(1, 3, 3, 3, 8)
    y = call(rounded, clips)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype("float32"), call(exact, clips), atol=0.05)


@pytest.mark.slow
def test_gradients_reach_every_parameter():
    layer = nnx.view(random_network(partial(module, 8, 8)), use_running_average=False)
    clips = random_clips(2, 3, 3, 3, 8)
    assert_learns(layer, lambda layer: layer(Frames.of(clips)).data)


@pytest.mark.slow
def test_gsm_starts_from_gates_of_zero():
    gsm = create("resnet_tiny", "gsm", num_classes=2, num_frames=4)
    gate = gsm.stages[0][0].units[1].between.gate
    assert not gate.kernel[...].any() and not gate.bias[...].any()
    assert gsm.stages[0][0].units[1].between.fusion is None


def abstract(backbone="resnet50", temporal="gsf", **options) -> nnx.Module:
    return networks.abstract(backbone, temporal, **({"num_classes": 174} | options))


# Added to ResNet-50's 23,864,558: 29 C + 40 a module with the norm's two vectors, and
# for GSM, which has no fusion, 29 C + 2.
@pytest.mark.slow(but=("gsf-options2-*",))
@pytest.mark.parametrize(
    ("temporal", "options", "parameters"),
    [
        ("gsf", {"ratio": 1.0}, 24_303_214),
        ("gsm", {}, 23_864_558 + 29 * 3776 + 16 * 2),
        ("gsf", {"gate": 1, "fusion": "sum"}, 23_864_558),
    ],
)
def test_parameters(temporal, options, parameters):
    assert count(abstract(temporal=temporal, **options)) == parameters


def gated(model) -> list[tuple[int, int, int]]:
    return [
        (stage, block, unit)
        for stage, blocks in enumerate(model.stages)
        for block, one in enumerate(blocks)
        for unit, layer in enumerate(one.units)
        if layer.between is not None
    ]


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, [(s, b, 1) for s in range(4) for b in range(2)]),
        ({"place": "conv1"}, [(s, b, 0) for s in range(4) for b in range(2)]),
        ({"place": "all", "modules": 1}, [(3, 1, 0), (3, 1, 1)]),
        ({"modules": 3}, [(2, 1, 1), (3, 0, 1), (3, 1, 1)]),
    ],
)
def test_places_in_a_residual_network(options, places):
    assert gated(abstract("resnet18", **options)) == places


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ratio": 0}, "ratio must be a finite number above 0 and at most 1, got 0"),
        ({"ratio": 1.5}, "at most 1, got 1.5"),
        ({"ratio": 0.1}, "6 of the 64 channels of unit 1 in block 0 of stage 0"),
        ({"place": "1x1"}, "place must be one of last, conv1, conv2, all"),
        ({"modules": 0}, "modules must be a whole number from 1, got 0"),
        ({"gate": 2}, "gate must be one of .*got 2"),
        ({"fusion": "mean"}, "fusion must be one of .*got 'mean'"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ValueError, match=said):
        abstract("resnet18", **options)


def test_wrong_channels():
    with pytest.raises(
        ValueError, match="multiple of 4 from 4 to the 8 channels, got 6"
    ):
        module(8, 6)
