"""BN-Inception and Inception-V3: parity, counts, where schemes act, names."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.files import GOLDEN
from tests.support.networks import Noting, assert_learns, random_clips, random_network
from vidshift import load_torch, train_view
from vidshift.kernels import Frames
from vidshift.nets.drawn import made_up_weight
from vidshift.nets.inception import Block, Branch, Chain, Conv, InceptionNetwork
from vidshift.nets.weights import named_arrays
from vidshift.nets.zoo import NoPlaceError
from vidshift.shifts import SCHEMES
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.temporal import TemporalShift
from vidshift.torch_weights import inception as names


@functools.cache
def abstract(backbone, temporal="tsn", **options) -> nnx.Module:
    return networks.abstract(
        backbone, temporal, **({"num_classes": 174, "num_frames": 4} | options)
    )


def modules(model, kind) -> dict[str, nnx.Module]:
    found = nnx.iter_modules(model)
    return {".".join(map(str, p)): m for p, m in found if isinstance(m, kind)}


BN_INCEPTION_GATES = {
    "inception_3a_1x1": 64,
    "inception_3b_1x1": 64,
    "inception_3c_3x3_reduce": 128,
    "inception_4a_1x1": 224,
    "inception_4b_1x1": 192,
    "inception_4c_1x1": 160,
    "inception_4d_1x1": 96,
    "inception_4e_3x3_reduce": 128,
    "inception_5a_1x1": 352,
    "inception_5b_1x1": 352,
}
INCEPTION_V3_GATES = {
    "mixed_conv": 64,
    "mixed_1_conv": 64,
    "mixed_2_conv": 64,
    "mixed_3_conv": 384,
    "mixed_4_conv": 192,
    "mixed_5_conv": 192,
    "mixed_6_conv": 192,
    "mixed_7_conv": 192,
    "mixed_8_tower_conv": 192,
    "mixed_9_conv": 320,
    "mixed_10_conv": 320,
}
OFFICIAL_GATES = {
    ("bn_inception", "gsf"): BN_INCEPTION_GATES,
    ("bn_inception", "gsm"): BN_INCEPTION_GATES,
    ("inception_v3", "gsf"): INCEPTION_V3_GATES,
    ("inception_v3", "gsm"): {
        name: channels
        for name, channels in INCEPTION_V3_GATES.items()
        if name not in ("mixed_3_conv", "mixed_6_conv")
    }
    | {"mixed_3_tower_conv": 64},
}


@pytest.mark.slow(but=("bn_inception-gsm",))
@pytest.mark.parametrize(("backbone", "temporal"), OFFICIAL_GATES)
def test_gates_are_the_official_ones(backbone, temporal):
    official = {
        "bn_inception": names.of_bn_inception,
        "inception_v3": names.of_inception_v3,
    }[backbone]
    found = {}
    for path, gate in modules(abstract(backbone, temporal), GateShiftFuse).items():
        _, stage, block, _, branch, _, unit, slot = path.split(".")
        assert slot == "between"
        found[official(int(stage), int(block), branch, int(unit))] = gate.processed
    assert found == OFFICIAL_GATES[backbone, temporal]


# The blocks of each stage, and the channels that each block reads. BN-Inception's blocks
# are conv2, 3a to 3c, 4a to 4e, 5a and 5b.
TSM_INPUTS = {
    "bn_inception": (
        (1, 3, 5, 2),
        (64, 192, 256, 320, 576, 576, 576, 608, 608, 1056, 1024),
    ),
    "inception_v3": (
        (3, 5, 3),
        (192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", TSM_INPUTS)
def test_tsm_shifts_the_input_of_every_block(backbone):
    shifts = modules(abstract(backbone, "tsm"), TemporalShift)
    stages, channels = TSM_INPUTS[backbone]
    blocks = [(s, b) for s, length in enumerate(stages) for b in range(length)]
    assert {path: shift.fold for path, shift in shifts.items()} == {
        f"stages.{s}.{b}.before": c // 8
        for (s, b), c in zip(blocks, channels, strict=True)
    }


def test_blockres_has_no_place():
    with pytest.raises(
        NoPlaceError, match="bn_inception has no place for tsm .*blockr"
    ):
        abstract("bn_inception", "tsm", placement="blockres")


@pytest.mark.slow(
    but=(
        "bn_inception-64-*",
        "inception_v3-224-*",
    )
)
@pytest.mark.parametrize(
    ("backbone", "side", "features"),
    [
        ("bn_inception", 229, (7, 7, 1024)),
        ("bn_inception", 112, (4, 4, 1024)),  # 4e halves 7 x 7
        ("bn_inception", 64, (2, 2, 1024)),
        ("inception_v3", 229, (6, 6, 2048)),
        ("inception_v3", 224, (6, 6, 2048)),  # mixed_3 halves 26 x 26
        ("inception_v3", 64, (1, 1, 2048)),
    ],
)
def test_sides(backbone, side, features):
    shape = jax.ShapeDtypeStruct((1, 2, side, side, 3), jnp.float32)
    found = jax.eval_shape(
        lambda m, c: m.features(c, layer="spatial"), abstract(backbone), shape
    )
    assert found.shape == (1, 2, *features)


def test_too_small_clips():
    shape = jax.ShapeDtypeStruct((1, 2, 229, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match="229 x 32 are too small for InceptionV3"):
        jax.eval_shape(lambda m, c: m(c), abstract("inception_v3"), shape)


CHAIN = Chain((Conv(4, 3),))
FORK = (Conv(2, (3, 1)), Conv(3, (1, 3)))
STRAIGHT = Block(
    {
        "1x1": Branch((Conv(3),)),
        "3x3": Branch((Conv(2), *FORK), fork=True),
        "double_3x3": Branch((Conv(2), Conv(4, 3), Conv(3, 3))),
        "pool": Branch((Conv(2),), "avg"),
    }
)
HALVING = Block(
    {
        "3x3": Branch((Conv(4, 3, 2, padding=0),)),
        "double_3x3": Branch((Conv(2, 5), Conv(3, 3, 2, padding=0))),
        "pool": Branch((), "max"),
    },
    halves="odd",
)


def tiny(stages=((STRAIGHT,), (HALVING,)), *, scheme=None, **options) -> nnx.Module:
    """For 8 x 8 pixels, of which the first stage reads 4 x 4 places."""
    return InceptionNetwork(
        scheme or SCHEMES["tsn"](),
        stem=(CHAIN,),
        stages=stages,
        num_classes=3,
        num_frames=2,
        rngs=nnx.Rngs(0),
        **options,
    )


def unit_in_numpy(unit, x, padding, stride=1):
    """Convolution with its bias, norm and ReLU of one frame `[H, W, C]`, in float64."""
    arrays = {k: np.asarray(v, np.float64) for k, v in named_arrays(unit).items()}
    kernel = arrays["conv.kernel"]
    (height, width), (top, left) = kernel.shape[:2], padding
    x = np.pad(x, ((top, top), (left, left), (0, 0)))
    y = np.array(
        [
            [
                np.tensordot(x[i : i + height, j : j + width], kernel, 3)
                for j in range(0, x.shape[1] - width + 1, stride)
            ]
            for i in range(0, x.shape[0] - height + 1, stride)
        ]
    )
    y = y + arrays["conv.bias"] - arrays["norm.mean"]
    y = y / np.sqrt(arrays["norm.var"] + 1e-5) * arrays["norm.scale"]
    return np.maximum(y + arrays["norm.bias"], 0)


def pooled_in_numpy(x, stride, padding, reduce, outside):
    x = np.pad(x, ((padding,) * 2, (padding,) * 2, (0, 0)), constant_values=outside)
    sides = [range(0, side - 2, stride) for side in x.shape[:2]]
    return np.array(
        [
            [reduce(x[i : i + 3, j : j + 3], axis=(0, 1)) for j in sides[1]]
            for i in sides[0]
        ]
    )


def test_blocks_against_numpy():
    model = random_network(tiny)
    x = random_clips(1, 1, 4, 4, 4)
    straight, halving = model.stages[0][0], model.stages[1][0]
    frame = np.asarray(x[0, 0], np.float64)

    def run(branch, x, *settings):
        units = straight.branches[branch].units
        for unit, padding in zip(units, settings, strict=False):
            x = unit_in_numpy(unit, x, padding)
        return x

    down = run("3x3", frame, (0, 0))
    forked = straight.branches["3x3"].units
    mean = pooled_in_numpy(frame, 1, 1, np.mean, 0.0)
    expected = [
        run("1x1", frame, (0, 0)),
        unit_in_numpy(forked[1], down, (1, 0)),
        unit_in_numpy(forked[2], down, (0, 1)),
        run("double_3x3", frame, (0, 0), (1, 1), (1, 1)),
        run("pool", mean, (0, 0)),
    ]
    expected = np.concatenate(expected, -1)

    @jax.jit
    def run_both(x):
        y = straight(Frames.of(x))
        return y.clips()[0, 0], halving(y).clips()[0, 0]

    first, second = run_both(x)
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)

    frame = np.pad(expected, ((0, 1), (0, 1), (0, 0)))  # 4 x 4 is made odd
    double = halving.branches["double_3x3"].units
    expected = [
        unit_in_numpy(halving.branches["3x3"].units[0], frame, (0, 0), 2),
        unit_in_numpy(double[1], unit_in_numpy(double[0], frame, (2, 2)), (0, 0), 2),
        pooled_in_numpy(frame, 2, 0, np.max, -np.inf),
    ]
    expected = np.concatenate(expected, -1)
    np.testing.assert_allclose(second, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_training_updates_statistics_and_has_gradients():
    block = Block({"3x3": Branch(FORK, fork=True), "pool": Branch((Conv(2),), "avg")})
    model = train_view(random_network(lambda: tiny(((block,),), dtype="bfloat16")))
    clips = random_clips(2, 2, 8, 8, 3)
    assert_learns(model, lambda model: model(clips), undone=("conv.bias",))


def test_sites():
    scheme = Noting()
    stages = ((CHAIN,), (STRAIGHT, HALVING))
    nnx.eval_shape(lambda: tiny(stages, scheme=scheme))
    found = scheme.sites
    blocks = [site for site in found if site.whole_block]
    units = [site for site in found if not site.whole_block]
    assert not any(site.residual for site in found)
    assert [
        (s.stage, s.block, s.blocks, s.in_channels, s.out_channels) for s in blocks
    ] == [(0, 0, 1, 4, 4), (1, 0, 2, 4, 13), (1, 1, 2, 13, 20)]
    # Those of the stem and of a chain are none.
    assert [
        (s.branch, s.unit, s.units, s.in_channels, s.out_channels) for s in units
    ] == [
        ("1x1", 0, 1, 4, 3),
        ("3x3", 0, 3, 4, 2),
        ("3x3", 1, 3, 2, 2),
        ("3x3", 2, 3, 2, 3),  # reads what the one before it reads
        ("double_3x3", 0, 3, 4, 2),
        ("double_3x3", 1, 3, 2, 4),
        ("double_3x3", 2, 3, 4, 3),
        ("pool", 0, 1, 4, 2),
        ("3x3", 0, 1, 13, 4),
        ("double_3x3", 0, 2, 13, 2),
        ("double_3x3", 1, 2, 2, 3),
    ]
    assert {(site.block, site.branches) for site in units} == {
        (0, ("1x1", "pool", "3x3", "double_3x3")),
        (1, ("3x3", "double_3x3")),
    }
    assert [site.branch for site in units if site.least] == ["1x1", "3x3"]


def imagenet(backbone: str, head: str) -> dict[str, np.ndarray]:
    """What an ImageNet file would hold: zeros, but for the first layer, and ones."""
    model = abstract(backbone)
    imagenet = (f for f in names.FAMILIES if f.name == "imagenet")
    official = next(f for f in imagenet if isinstance(model, f.backbone)).names(model)
    given = {}
    for ours, like in named_arrays(model).items():
        if ours.startswith("fc."):
            continue
        name, shape = official(ours)[0], like.shape
        if len(shape) == 4:
            shape = (shape[3], shape[2], *shape[:2])
        given[name] = np.broadcast_to(np.float32(0), shape)
        if ours.startswith("stem.0.units.0."):
            given[name] = made_up_weight(name, shape)
    shape = (174, model.fc.kernel.shape[0])
    given[f"{head}.weight"] = np.broadcast_to(np.float32(1), shape)
    given[f"{head}.bias"] = np.zeros(174, np.float32)
    return given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "temporal", "head", "conv", "norm"),
    [
        ("bn_inception", "tsn", "last_linear", "conv1_7x7_s2", "conv1_7x7_s2_bn"),
        ("inception_v3", "tsn", "top_cls_fc", "conv_Conv2D", "conv_batchnorm"),
    ],
)
def test_imagenet_files_initialise_networks(backbone, temporal, head, conv, norm):
    given = imagenet(backbone, head)
    rows = {  # as the files that GSM's code squeezes have their vectors
        name: array[None] if array.ndim == 1 and not name.startswith(head) else array
        for name, array in given.items()
    }
    model = nnx.clone(abstract(backbone, temporal))
    load_torch(model, rows)
    first = model.stem[0].units[0]
    kernel = given[f"{conv}.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(first.conv.kernel[...], kernel)
    np.testing.assert_array_equal(first.conv.bias[...], given[f"{conv}.bias"])
    np.testing.assert_array_equal(first.norm.mean[...], given[f"{norm}.running_mean"])
    assert (model.fc.kernel[...] == 1).all()


@pytest.mark.slow
def test_an_imagenet_head_is_none_of_tsms():
    given = imagenet("bn_inception", "fc")
    model = nnx.clone(abstract("bn_inception", "tsm"))
    with pytest.raises(ValueError, match="trained without TSM's shift"):
        load_torch(model, given)
    load_torch(model, given, head="skip")


def official(case: str) -> dict[str, np.ndarray]:
    """Zeros under a golden case's names."""
    case = json.loads((GOLDEN / f"{case}.json").read_text())
    return {key: np.broadcast_to(0.0, shape) for key, shape in case["state_dict"]}


def test_official_tsm_reads_both_sides():
    model = abstract("bn_inception", "tsm", num_classes=11, causal=True)
    with pytest.raises(ValueError, match="do not fit the model, which is causal"):
        load_torch(model, official("tsm_bninception_4f"))


def test_a_fixed_gate_has_no_names_but_moves_frames():
    given = official("tsm_bninception_4f")
    model = nnx.clone(abstract("bn_inception", "gsm", num_classes=11, gate=1))
    with pytest.raises(ValueError, match="trained without a gate's shift"):
        load_torch(model, given)
    load_torch(model, given, head="skip")


def test_gsm_has_no_weights_for_gsfs_fusion():
    with pytest.raises(ValueError, match="fit the model: missing: ") as error:
        load_torch(abstract("bn_inception", "gsf"), official("gsm_bninception_8f"))
    missing = str(error.value).partition("missing: ")[2].split(", ")
    assert len(missing) == 10 * 4  # two fusions a gate, kernel and bias
    assert all("channel_conv" in name for name in missing)
