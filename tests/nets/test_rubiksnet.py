"""RubiksNet: the official code's results, names and counts; its variants and options."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from tests.support import networks
from tests.support.collectives import collectives
from tests.support.files import GOLDEN
from tests.support.networks import (
    Noting,
    assert_learns,
    count,
    random_clips,
    random_network,
    unannotated,
)
from tests.support.shift3d_reference import by_corners
from vidshift import load_torch, train_view
from vidshift.kernels import Frames, temporal_shift
from vidshift.nets.drawn import made_up_weights
from vidshift.nets.rubiksnet import VARIANTS, RubiksNet, ShiftOptions, Size
from vidshift.nets.weights import named_arrays, split
from vidshift.nets.zoo import NoPlaceError
from vidshift.shifts import SCHEMES
from vidshift.shifts.attention import AttentionShift
from vidshift.shifts.rubiks import Shift2D, Shift3D, ShiftParam


def small(scheme=None, squeeze=False, **options) -> RubiksNet:
    """Two blocks, 4 classes; for `random_network`."""
    options = {"max_shift": 2.0} | options
    return RubiksNet(
        scheme or SCHEMES["tsn"](),
        Size((1, 1), (16, 24), squeeze),
        num_classes=4,
        num_frames=3,
        rngs=nnx.Rngs(0),
        **options,
    )


def random(**options) -> RubiksNet:
    return random_network(functools.partial(small, **options))


def abstract(backbone="rubiksnet_micro", temporal="tsn", **options) -> nnx.Module:
    return networks.abstract(backbone, temporal, **({"num_classes": 174} | options))


# ------------------------------------------------------ what the official code does
# A row of shifts has one for each of the 189 channels of all blocks.
@pytest.mark.parametrize(
    ("options", "fewer"),
    [
        ({"variant": "quantized"}, 0),
        ({"time": "fixed"}, 189),
        ({"space": "fixed"}, 2 * 189),
        ({"variant": "spatial"}, 189),
    ],
)
def test_parameter_counts(options, fewer):
    assert count(abstract(**options)) == count(abstract()) - fewer


@pytest.mark.slow
def test_the_names_tell_the_variants_apart():
    case = json.loads((GOLDEN / "rubiksnet_tiny_aq.json").read_text())
    given = made_up_weights(case["state_dict"])
    for variant in ("interpolated", "spatial"):
        model = abstract("rubiksnet_tiny", variant=variant)
        with pytest.raises(ValueError) as error:
            load_torch(model, given)
        message = str(error.value)
        assert "missing: backbone.layer0.0" in message
        unexpected = message.partition("; unexpected: ")[2].split(", ")
        assert "backbone.layer0.0.conv2.0.T" in unexpected
    with pytest.raises(ValueError, match=r"whole checkpoint: pass its \['model'\]"):
        load_torch(model, {"model": np.zeros(1)})
    model = abstract("rubiksnet_tiny", variant="attention")
    load_torch(model, {f"module.{key}": array for key, array in given.items()})
    attention = model.stages[1][0].attention
    assert attention.temperature[...] == 0.5
    layer = "backbone.layer1.0"
    np.testing.assert_array_equal(
        attention.weight[...], given[f"{layer}.conv2.0.weight"]
    )
    block = model.stages[1][0]
    for ours, theirs in (
        (block.unit.conv, "conv2.1"),
        (block.out, "conv3"),
        (block.shortcut, "shortcut"),
    ):
        official = given[f"{layer}.{theirs}.weight"]
        np.testing.assert_array_equal(ours.kernel[...], official[:, :, 0, 0].T)


def test_a_shift_that_the_model_cannot_do_is_refused():
    case = json.loads((GOLDEN / "rubiksnet_tiny.json").read_text())
    given = {key: np.zeros(shape, np.float32) for key, shape in case["state_dict"]}
    given["backbone.layer2.1.as3.rubiks3d.shift"][1, 7] = -5.25
    with pytest.raises(ValueError, match=r"5.25 places.*max_shift=4: .*max_shift=6"):
        load_torch(abstract("rubiksnet_tiny"), given)
    model = abstract("rubiksnet_tiny", max_shift=6.0)
    load_torch(model, given)
    assert model.stages[2][1].shift.shift[1, 7] == -5.25


# ------------------------------------------------------------------------- blocks
def batch_norm(norm, x):
    scale, bias, mean, var = (
        np.asarray(v[...]) for v in (norm.scale, norm.bias, norm.mean, norm.var)
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def block_by_hand(block, x, rows, stride):
    """A block as the official code has it, in float64."""
    a = np.maximum(batch_norm(block.norm, x), 0)
    shortcut = x
    if block.shortcut is not None:
        shortcut = a[:, :, ::stride, ::stride] @ np.asarray(block.shortcut.kernel[...])
    if block.attention is not None:
        share = np.asarray(block.attention.attention())
        around = np.pad(a, [(0, 0), (1, 1), (0, 0), (0, 0), (0, 0)])
        a = sum(share[:, k] * around[:, k : k + a.shape[1]] for k in range(3))
    y = a @ np.asarray(block.unit.conv.kernel[...])
    y = by_corners(
        np.maximum(batch_norm(block.unit.norm, y), 0), rows, (1, stride, stride)
    )
    if block.se is not None:
        hidden = np.maximum(y.mean((2, 3)) @ np.asarray(block.se.down.kernel[...]), 0)
        gate = 1 / (1 + np.exp(-hidden @ np.asarray(block.se.up.kernel[...])))
        y = y * gate[:, :, None, None]
    return y @ np.asarray(block.out.kernel[...]) + shortcut


@pytest.mark.slow(but=("options3-*",))
@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, slice(0, 3)),
        ({"squeeze": True}, slice(0, 3)),
        ({"variant": "attention"}, slice(1, 3)),
        ({"variant": "spatial"}, slice(1, 3)),
    ],
)
def test_blocks(options, rows):
    model = random(**options)
    x = random_clips(2, 3, 5, 4, 16)
    for (block,), stride in zip(model.stages, (1, 2), strict=True):
        drawn = np.random.default_rng(0).uniform(-2, 2, (3, 3))
        shift = np.zeros((3, block.shift.channels), np.float32)
        shift[rows] = np.resize(drawn, shift.shape)[rows]
        block.shift.shift[...] = jnp.asarray(shift[rows])
        expected = block_by_hand(block, np.asarray(x, np.float64), shift, stride)
        x = jax.jit(lambda block, x: block(x))(block, x)
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4)


def test_body_is_stem_blocks_norm_and_relu():
    model, clips = random(), random_clips(2, 3, 9, 8, 3)
    run = jax.jit(lambda layer, x: layer(x))
    x = run(model.stem, Frames.of(clips)).clips()
    assert x.shape == (2, 3, 5, 4, 16)
    kernel = np.asarray(model.stem.kernel[...])  # at a corner: a window's lower right
    corner = np.einsum("bthwi,hwio->bto", clips[:, :, :2, :2], kernel[1:, 1:])
    np.testing.assert_allclose(x[:, :, 0, 0], corner, atol=1e-4)
    for (block,) in model.stages:
        x = run(block, x)
    expected = np.maximum(batch_norm(model.norm, np.asarray(x)), 0)
    features = jax.jit(lambda model, clips: model.features(clips, layer="spatial"))(
        model, clips
    )
    assert features.shape == (2, 3, 3, 2, 24)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "kind", "quantize", "attention"),
    [
        ("interpolated", Shift3D, False, False),
        ("quantized", Shift3D, True, False),
        ("attention", Shift2D, False, True),
        ("spatial", Shift2D, False, False),
    ],
)
def test_variants(variant, kind, quantize, attention):
    model = abstract(variant=variant)
    assert variant in VARIANTS
    for (block,) in model.stages:
        assert type(block.shift) is kind and block.shift.quantize is quantize
        assert isinstance(block.attention, AttentionShift) is attention


@pytest.mark.slow(but=("options2-*",))
@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"variant": "spatial"}, {4}),
        ({}, {2, 3, 4, 5, 6}),  # two blocks, each a frame and a half to either side
        ({"variant": "attention"}, {2, 3, 4, 5, 6}),
        ({"time": "fixed"}, {2, 3, 4, 5, 6}),
    ],
)
def test_which_frames_see_frame_4(options, frames):
    model, clips = random(**options), random_clips(1, 9, 8, 8, 3)
    logits = jax.jit(lambda model, clips: model.frame_logits(clips))
    before, after = logits(model, clips), logits(model, clips.at[:, 4].add(1.0))
    changed = np.flatnonzero(jnp.any(before != after, axis=(0, 2)))
    assert set(changed.tolist()) == frames


def test_with_nothing_learned_there_are_no_shifts():
    model = abstract(space="fixed", time="fixed")
    assert not any("shift" in name for name in named_arrays(model))
    assert all(
        np.issubdtype(block.shift.rows().dtype, np.integer) for (block,) in model.stages
    )


# ----------------------------------------------------------------- two dimensions
def test_the_image_network_has_the_names_of_the_others():
    image = named_arrays(abstract(variant="spatial"))
    for variant in ("interpolated", "quantized", "attention"):
        video = named_arrays(abstract(variant=variant))
        new = video.keys() - image.keys()
        assert not image.keys() - video.keys()
        assert all(".attention." in name for name in new)
        for name, array in image.items():
            rows = 2 if name.endswith(".shift") else 0
            assert array.shape[rows > 0 :] == video[name].shape[rows > 0 :]
            if rows and variant != "attention":
                assert (array.shape[0], video[name].shape[0]) == (2, 3)


def test_tsm_shifts_before_the_first_convolution():
    plain = random(variant="spatial")
    tsm = random(scheme=SCHEMES["tsm"](), variant="spatial")
    assert named_arrays(plain).keys() == named_arrays(tsm).keys()
    x = random_clips(2, 4, 3, 3, 16)
    for (before,), (after,) in zip(plain.stages, tsm.stages, strict=True):
        np.testing.assert_array_equal(
            after.unit(x), before.unit(temporal_shift(x, fold=2))
        )
    model = abstract("rubiksnet_tiny", "tsm", variant="spatial")
    folds = [block.unit.before.fold for stage in model.stages for block in stage]
    assert folds == [6] * 5 + [13] * 4 + [27] * 6 + [54] * 2


def test_tsm_may_shift_whole_blocks():
    plain = random(variant="spatial")
    tsm = random(scheme=SCHEMES["tsm"](placement="block"), variant="spatial")
    x = random_clips(2, 4, 3, 3, 16)
    expected = plain.stages[0][0](temporal_shift(x, fold=2))
    np.testing.assert_array_equal(tsm.stages[0][0](x), expected)


class SecondFrame(nnx.Module):
    """A layer of frames, as schemes put them into slots."""

    def __call__(self, x: Frames) -> Frames:
        return Frames.of(x.clips().at[:, 1].multiply(3.0))


def test_any_scheme_of_frames_fits_the_slots():
    class Filling(Noting):
        def place(self, site, module):
            for slot in {"before", "between", "after"} & vars(module).keys():
                self.put(module, slot, SecondFrame())
            return super().place(site, module)

    scheme = Filling()
    model = random(scheme=scheme, variant="spatial")
    places = scheme.sites
    plain = random(variant="spatial")
    assert [(s.stage, s.unit, s.units, s.residual) for s in places] == [
        (0, 0, 2, True),
        (0, None, 2, True),
        (1, 0, 2, True),
        (1, None, 2, True),
    ]
    assert [s.in_channels for s in places] == [16] * 4
    assert [s.out_channels for s in places] == [16, 16, 24, 24]
    x = random_clips(2, 3, 4, 4, 16)
    unit, own = model.stages[0][0].unit, plain.stages[0][0].unit
    second = jnp.asarray([1.0, 3.0, 1.0]).reshape(1, 3, 1, 1, 1)
    y = own.norm(own.conv(x * second) * second)
    np.testing.assert_allclose(unit(x), nnx.relu(y) * second, rtol=1e-6)


@pytest.mark.parametrize("variant", ["interpolated", "quantized", "attention"])
def test_others_mix_time_by_themselves(variant):
    with pytest.raises(NoPlaceError, match="rubiksnet_micro has no place for tsm"):
        abstract("rubiksnet_micro", "tsm", variant=variant)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "3d"}, r"variant must be one of .*'spatial'\), got '3d'"),
        ({"space": "group3"}, r"space must be one of .*, got 'group3'"),
        ({"time": "none"}, r"time must be one of .*, got 'none'"),
        ({"variant": "spatial", "time": "fixed"}, "variant='spatial' has none to fix"),
        ({"variant": "attention", "time": "fixed"}, "variant='attention' has none"),
        ({"time_init": "tsm", "variant": "attention"}, "got 'attention' with time="),
        ({"time_init": "tsm", "time": "fixed"}, "'interpolated' with time='fixed'"),
        ({"taps": 5}, "taps, .* are of the variant 'attention', got variant='interp"),
        ({"hardened": True}, "hardened are of the variant 'attention'"),
        ({"variant": "attention", "taps": 4}, "taps must be an odd number from 3"),
        ({"variant": "attention", "attention_init": "x"}, "attention_init must be one"),
        ({"max_shift": -1.0}, "max_shift must be a finite number above 0, got -1.0"),
        (
            {"shift": 1},
            "takes: .*dropout, .*max_shift, .*space, .*time, time_init, variant",
        ),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        abstract(**options)


def test_an_automatic_start_is_of_learned_time_alone():
    assert ShiftOptions(time_init="auto").time_init == "tsm-g0.1"
    for other in ({"variant": "attention"}, {"variant": "spatial"}, {"time": "fixed"}):
        assert ShiftOptions(time_init="auto", **other).time_init is None


def test_hardened_is_a_flag():
    with pytest.raises(ValueError, match="hardened must be True or False, got 2"):
        unannotated(ShiftOptions, variant="attention", hardened=2)


# ----------------------------------------------------------------------- training
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("float32", {}),
        ("bfloat16", {"squeeze": True}),
        ("bfloat16", {"variant": "quantized"}),
        ("bfloat16", {"variant": "attention"}),
        ("bfloat16", {"space": "fixed", "time": "fixed"}),
    ],
)
def test_every_parameter_learns(dtype, options):
    model = train_view(random(dtype=jnp.dtype(dtype), dropout=0.5, **options))
    clips = random_clips(2, 3, 8, 8, 3)
    assert_learns(model, lambda model: model(clips, rngs=jax.random.key(1)))


def test_shifts_are_found_by_type():
    shifts = named_arrays(abstract(), ShiftParam)
    assert len(shifts) == 3 and all(n.endswith(".shift.shift") for n in shifts)


def test_a_new_temperature_compiles_nothing():
    skeleton, params, stats = split(random(variant="attention"))
    clips = random_clips(1, 3, 4, 4, 3)
    logits = jax.jit(lambda params, stats: skeleton.merge(params, stats)(clips))
    names = [name for name in stats if name.endswith("attention.temperature")]
    assert len(names) == 2
    found = [
        logits(params, stats | dict.fromkeys(names, jnp.float32(t)))
        for t in (2.0, 0.01)
    ]
    assert logits._cache_size() == 1
    assert not np.allclose(*found, atol=1e-4)


@pytest.mark.slow
def test_clips_on_several_devices(devices):
    model, clips = random(squeeze=True), random_clips(8, 3, 8, 8, 3)
    run = jax.jit(lambda model, clips: model(clips))
    expected = run(model, clips)
    rows = NamedSharding(devices, PartitionSpec("data"))
    same = NamedSharding(devices, PartitionSpec())
    args = jax.device_put(model, same), jax.device_put(clips, rows)
    with jax.set_mesh(devices):
        compiled = jax.jit(lambda model, clips: model(clips)).lower(*args).compile()
    assert collectives(compiled.as_text()) == []
    np.testing.assert_allclose(compiled(*args), expected, rtol=1e-5, atol=1e-5)
