"""MobileNetV2: the official network, its width rule, its sites, and its files' names."""

import functools
import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.files import GOLDEN
from tests.support.networks import Noting, assert_learns, random_clips, random_network
from vidshift import create, load_torch, train_view
from vidshift.kernels import Frames
from vidshift.nets.drawn import made_up_weights
from vidshift.nets.mobilenet_v2 import (
    STAGES,
    InvertedResidual,
    MobileNetV2,
    block_rows,
    mobilenet_v2,
)
from vidshift.nets.weights import named_arrays
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.temporal import TSM, TemporalShift

# Official numbers of the blocks that add their input.
RESIDUAL = {3, 5, 6, 8, 9, 10, 12, 13, 15, 16}


@functools.lru_cache(maxsize=None, typed=True)
def built(temporal, **options) -> nnx.Module:
    return networks.abstract("mobilenet_v2", temporal, **({"num_frames": 4} | options))


def mobilenet(temporal="tsm", **options) -> nnx.Module:
    """Of shapes alone."""
    return nnx.clone(built(temporal, **options))


def small(**options) -> nnx.Module:
    """Two blocks, the second residual; for `random_network`."""
    return MobileNetV2(
        TSM(),
        stages=((1, 16, 1, 1), (2, 16, 1, 1)),
        num_classes=4,
        num_frames=3,
        rngs=nnx.Rngs(0),
        **options,
    )


def numbered_blocks(model) -> dict[int, nnx.Module]:
    """Blocks under their official numbers; 0 is the stem."""
    blocks = [block for stage in model.stages for block in stage]
    return dict(enumerate(blocks, start=1))


def shifted(model) -> set[int]:
    found = {
        number
        for number, block in numbered_blocks(model).items()
        if isinstance(block.units[0].before, TemporalShift)
    }
    everywhere = [m for _, m in nnx.iter_modules(model) if type(m) is TemporalShift]
    assert len(everywhere) == len(found)
    return found


def test_tsm_shifts_the_official_blocks():
    assert shifted(mobilenet(width_mult=1.4)) == RESIDUAL


@pytest.mark.slow
def test_a_block_that_became_residual_is_shifted():
    # 64 and 96 channels are both 16 at a width of 0.15.
    model = mobilenet(width_mult=0.15)
    assert shifted(model) == RESIDUAL | {11} and numbered_blocks(model)[11].residual


@pytest.mark.parametrize("width_mult", [0.001, 0.5, 1, 2.0, 16.0])
def test_the_block_that_does_not_widen_is_never_residual(width_mult):
    rows = [row for stage in block_rows(STAGES, width_mult) for row in stage]
    assert [row.expand for row in rows] == [1] + 16 * [6]
    assert not rows[0].residual


# By hand: ceil(c w / 8) 8 of 24, 32, 64, 96, 160, 320; the ends as the official code.
@pytest.mark.parametrize(
    ("width_mult", "channels", "last"),
    [
        (0.5, [16, 16, 16, 32, 48, 80, 160], 1280),
        (1.4, [16, 40, 48, 96, 136, 224, 448], 1792),
    ],
)
def test_width_rule(width_mult, channels, last):
    model = mobilenet(width_mult=width_mult)
    assert model.stem.conv.kernel.shape == (3, 3, 3, 32)
    assert [len(stage) for stage in model.stages] == [1, 2, 3, 4, 3, 3, 1]
    cin = 32
    for number, (stage, cout) in enumerate(zip(model.stages, channels, strict=True)):
        for block in stage:
            shapes = [unit.conv.kernel.shape for unit in block.units]
            inner = cin if number == 0 else 6 * cin
            widen = [] if number == 0 else [(1, 1, cin, inner)]
            assert shapes == [*widen, (3, 3, 1, inner), (1, 1, inner, cout)]
            cin = cout
    assert model.last.conv.kernel.shape == (1, 1, cin, last)
    assert model.fc.kernel.shape == (last, 4)


def test_causal_caches_are_those_of_the_online_demo():
    case = json.loads((GOLDEN / "tsm_online_mobilenetv2.json").read_text())
    model = nnx.eval_shape(lambda: create(**case["create"]))

    def caches(model, clips):
        x, found = model.stem(Frames.of(clips)), []
        for block in numbered_blocks(model).values():
            shift = block.units[0].before
            if shift is not None:
                height, width = x.data.shape[:2]
                found.append([1, shift.fold, height, width])
                assert shift.direction == "past"
            x = block(x)
        return found

    clips = jnp.zeros((1, 1, case["size"], case["size"], 3))
    found = []
    jax.eval_shape(lambda m, c: found.extend(caches(m, c)), model, clips)
    assert found == case["cache_shapes_nchw"]


def test_sites():
    scheme = Noting()
    nnx.eval_shape(
        lambda: mobilenet_v2(scheme, num_classes=4, num_frames=4, rngs=nnx.Rngs(0))
    )
    sites = scheme.sites
    blocks = [site for site in sites if site.whole_block]
    assert len(blocks) == 17 and len(sites) == 17 + 2 + 16 * 3
    assert [s.blocks for s in blocks] == [
        length for length in (1, 2, 3, 4, 3, 3, 1) for _ in range(length)
    ]
    for number, block in enumerate(blocks, start=1):
        units = [
            s
            for s in sites
            if (s.stage, s.block) == (block.stage, block.block) and not s.whole_block
        ]
        assert [s.unit for s in units] == list(range(block.units))
        assert {s.residual for s in units} == {block.residual} == {number in RESIDUAL}
        assert units[0].in_channels == block.in_channels
        assert units[-1].out_channels == block.out_channels
    assert [(s.stage, s.block) for s in blocks[:4]] == [(0, 0), (1, 0), (1, 1), (2, 0)]


class Times(nnx.Module):
    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, x):
        return x.like(self.factor * x.data)


# before: 2 x; units: 3 times that; plus 2 x where residual; after: 5 times the sum.
@pytest.mark.parametrize(("residual", "expected"), [(True, 40.0), (False, 30.0)])
def test_slots_and_sum_of_a_block(residual, expected):
    block = InvertedResidual([Times(3.0)], residual)
    block.before, block.after = Times(2.0), Times(5.0)
    y = block(Frames.of(jnp.ones((1, 2, 1, 1, 1))))
    assert y.data.ravel().tolist() == [expected] * 2


def test_activations_end_at_six_and_the_last_of_a_block_has_none():
    model = random_network(small)
    model.last.norm.bias[...] = jnp.full(1280, 100.0)
    features = jax.jit(lambda c: model.features(c, layer="spatial"))(
        random_clips(1, 2, 4, 4, 3)
    )
    assert (features == 6).all()
    for block in numbered_blocks(model).values():
        *inner, last = block.units
        assert {u.activation for u in inner} == {nnx.relu6} and last.activation is None


@pytest.mark.slow
def test_gradients_and_statistics_in_training():
    model = train_view(random_network(functools.partial(small, dropout=0.5)))
    clips = random_clips(2, 3, 8, 8, 3)
    undone = ("stages.1.0.units.2.norm.bias",)  # of the last block
    run = lambda model: model(clips, rngs=jax.random.key(0))
    assert_learns(model, run, undone=undone)


def test_gates_take_half_of_the_channels():
    model = mobilenet("gsf")
    gates = [m for _, m in nnx.iter_modules(model) if isinstance(m, GateShiftFuse)]
    halves = [gate.norm.scale.shape[0] for gate in gates]
    assert halves == [12, 16, 16, 32, 32, 32, 48, 48, 80, 80]


@pytest.mark.parametrize("width_mult", [0, -1.0, math.nan, math.inf, True, "1"])
def test_wrong_width(width_mult):
    with pytest.raises(
        ValueError, match="width_mult must be a finite number above 0, got"
    ):
        mobilenet(width_mult=width_mult)


# Official names.


def nested(name: str) -> str:
    """Torchvision's name of an array: a unit with an activation is a module of its own."""
    layer = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", name)
    if layer is None:
        return name.replace("classifier", "classifier.1")
    unit, part = divmod(int(layer[2]), 3)
    last = unit == (1 if layer[1] == "1" else 2)
    at = f"{unit + part}" if last else f"{unit}.{part}"
    return f"features.{layer[1]}.conv.{at}.{layer[3]}"


def state_dict(form: str, classes: int) -> dict[str, np.ndarray]:
    """What the code of that form would save: "tsn", "tsm", "bare" or "torchvision"."""
    of_tsm = form in ("tsn", "tsm")
    case = "tsm_mobilenetv2_8f" if of_tsm else "tsm_online_mobilenetv2"
    rename = {"tsn": lambda name: name.replace(".net", ""), "torchvision": nested}
    rename, shapes = rename.get(form, str), []
    for name, shape in json.loads((GOLDEN / f"{case}.json").read_text())["state_dict"]:
        of_head = name.startswith(("new_fc.", "classifier."))
        shapes.append((rename(name), [classes, *shape[1:]] if of_head else shape))
    return made_up_weights(shapes)


@pytest.fixture(scope="module")
def files():
    """Of 4 classes each; do not write to them."""
    return {f: state_dict(f, 4) for f in ("tsn", "tsm", "bare", "torchvision")}


def assert_holds(model, given, prefix, names):
    """One array of each sort is where it belongs, in our order of axes.

    `names` are the official ones of block 1's projection, block 3's widening and its
    norm, block 9's depthwise convolution, and block 17's last norm.
    """
    blocks = numbered_blocks(model)
    project, widen, widen_norm, depthwise, last_norm = (
        f"{prefix}features.{name}" for name in names
    )
    for ours, theirs in [
        (model.stem.conv.kernel, f"{prefix}features.0.0.weight"),
        (model.stem.norm.mean, f"{prefix}features.0.1.running_mean"),
        (blocks[1].units[1].conv.kernel, f"{project}.weight"),
        (blocks[3].units[0].conv.kernel, f"{widen}.weight"),
        (blocks[3].units[0].norm.scale, f"{widen_norm}.weight"),
        (blocks[9].units[1].conv.kernel, f"{depthwise}.weight"),
        (blocks[17].units[2].norm.var, f"{last_norm}.running_var"),
        (model.last.norm.bias, f"{prefix}features.18.1.bias"),
    ]:
        array = given[theirs]
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        np.testing.assert_array_equal(ours[...], array, err_msg=theirs)


FLAT = ("1.conv.3", "3.conv.0", "3.conv.1", "9.conv.3", "17.conv.7")
SHIFTED = ("1.conv.3", "3.conv.0.net", "3.conv.1", "9.conv.3", "17.conv.7")
NESTED = ("1.conv.1", "3.conv.0.0", "3.conv.0.1", "9.conv.1.0", "17.conv.3")


@pytest.mark.slow(but=("new_fc",))
@pytest.mark.parametrize("head", ["new_fc", "base_model.classifier"])
def test_official_tsm(files, head):
    given = {k.replace("new_fc", head): v for k, v in files["tsm"].items()}
    model = mobilenet("tsm")
    load_torch(model, {f"module.{name}": array for name, array in given.items()})
    assert_holds(model, given, "base_model.", SHIFTED)
    np.testing.assert_array_equal(model.fc.kernel[...], given[f"{head}.weight"].T)


def test_official_tsn(files):
    model = mobilenet("tsn")
    load_torch(model, files["tsn"])
    assert_holds(model, files["tsn"], "base_model.", FLAT)


@pytest.mark.parametrize(
    ("temporal", "options"), [("tsn", {}), ("tsm", {"causal": True})]
)
def test_bare_names_with_their_classifier(files, temporal, options):
    model = mobilenet(temporal, **options)
    load_torch(model, files["bare"])
    assert_holds(model, files["bare"], "", FLAT)
    bias = files["bare"]["classifier.bias"]
    np.testing.assert_array_equal(model.fc.bias[...], bias)


@pytest.mark.parametrize(
    ("form", "names", "options"),
    [
        ("bare", FLAT, {}),
        ("bare", FLAT, {"placement": "block"}),
        ("torchvision", NESTED, {"causal": True}),
    ],
)
def test_a_network_for_images_initialises_any(files, form, names, options):
    model = mobilenet("tsm", **options)
    load_torch(model, files[form], head="skip")
    assert_holds(model, files[form], "", names)
    assert isinstance(model.fc.kernel.get_value(), jax.ShapeDtypeStruct)  # untouched


def test_torchvision_is_complete():
    given, model = state_dict("torchvision", 1000), mobilenet("tsn", num_classes=1000)
    load_torch(model, given)
    assert_holds(model, given, "", NESTED)
    weight = given["classifier.1.weight"]
    np.testing.assert_array_equal(model.fc.kernel[...], weight.T)
    parameters = named_arrays(model, nnx.Param).values()
    assert sum(p.size for p in parameters) == 3_504_872  # torchvision's


@pytest.mark.parametrize(
    ("form", "options", "head", "message"),
    [
        ("tsm", {"causal": True}, "load", "do not fit the model, which is causal"),
        ("tsm", {"causal": True}, "skip", "do not fit the model, which is causal"),
        ("tsm", {"placement": "block"}, "load", "shifts residual branches; the model"),
        ("bare", {}, "load", 'classifier does not fit the model; head="skip"'),
        ("bare", {"placement": "block"}, "load", "classifier does not fit the model"),
        ("bare", {"placement": "block", "causal": True}, "load", "shifts whole blocks"),
        ("tsn", {}, "load", "missing: base_model.features.10.conv.0.net.weight, "),
    ],
)
def test_files_of_other_shifts(files, form, options, head, message):
    model = mobilenet("tsm", **options)
    with pytest.raises(ValueError, match=message):
        load_torch(model, files[form], head=head)
    assert isinstance(model.stem.norm.bias.get_value(), jax.ShapeDtypeStruct)


@pytest.mark.slow(
    but=(
        "bare-*",
        "torchvision-*",
    )
)
@pytest.mark.parametrize(
    ("form", "temporal", "options", "message"),
    [
        ("tsm", "tsm", {"temporal_pool": True}, "pooling over time"),
        ("tsn", "vsn", {"shuffle_block": "headtail", "other_blocks": "tsn"}, "shuffle"),
        ("bare", "tsn", {"temporal_pool": True}, "pooling over time"),
        ("torchvision", "tsm", {}, "TSM's shift"),
    ],
)
def test_a_head_of_another_scheme(files, form, temporal, options, message):
    model = mobilenet(temporal, **options)
    with pytest.raises(ValueError, match=f"trained without .*{message}, the model has"):
        load_torch(model, files[form])
    load_torch(model, files[form], head="skip")


def test_files_of_another_backbone(files):
    model = nnx.eval_shape(
        lambda: create("resnet_tiny", "tsm", num_classes=4, num_frames=4)
    )
    with pytest.raises(ValueError, match="is one of a MobileNetV2 .*'tsm'.* a ResNet"):
        load_torch(model, files["tsm"])
