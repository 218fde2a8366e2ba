"""Official names: complete, loaded into the right place, refused when they do not fit."""

import inspect
import json

import numpy as np
import pytest
from flax import nnx

from tests.support.files import GOLDEN
from tests.support.networks import tiny
from vidshift import create, load_torch
from vidshift.nets.drawn import made_up_weights
from vidshift.nets.weights import named_arrays
from vidshift.torch_weights.load import recognise


# `tests/programs/test_parity.py` loads every case; these are the quick ones.
@pytest.mark.parametrize("case", ["tsm_r18_8f", "slow_8x8_r50"])
def test_names_and_shapes_are_the_official_ones(case):
    named, given = official_names(case)
    load_torch(nnx.eval_shape(lambda: create(**named)), given)


def state_dict(prefix="base_model.", net=".net", head="new_fc", classes=4) -> dict:
    """What the official code would save of `resnet_tiny`, under its own names."""
    shapes = {}

    def unit(conv, norm, cin, cout, kernel):
        shapes[f"{prefix}{conv}.weight"] = (cout, cin, kernel, kernel)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}{norm}.{leaf}"] = (cout,)
        shapes[f"{prefix}{norm}.num_batches_tracked"] = ()

    unit("conv1", "bn1", 3, 16, 3)
    for stage, (cin, cout) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
        block = f"layer{stage}.0"
        unit(f"{block}.conv1{net}", f"{block}.bn1", cin, cout, 3)
        unit(f"{block}.conv2", f"{block}.bn2", cout, cout, 3)
        if cin != cout:
            unit(f"{block}.downsample.0", f"{block}.downsample.1", cin, cout, 1)
    shapes[f"{head}.weight"], shapes[f"{head}.bias"] = (classes, 64), (classes,)
    return made_up_weights(shapes.items())


def assert_holds(model, given, prefix="base_model.", net=".net"):
    """One array of each sort is where it belongs, in our order of axes."""
    block = model.stages[1][0]
    layer = f"{prefix}layer2.0"
    for ours, theirs in [
        (model.stem.conv.kernel, given[f"{prefix}conv1.weight"].transpose(2, 3, 1, 0)),
        (model.stem.norm.scale, given[f"{prefix}bn1.weight"]),
        (model.stem.norm.mean, given[f"{prefix}bn1.running_mean"]),
        (
            block.units[0].conv.kernel,
            given[f"{layer}.conv1{net}.weight"].transpose(2, 3, 1, 0),
        ),
        (block.units[1].norm.bias, given[f"{layer}.bn2.bias"]),
        (block.units[1].norm.var, given[f"{layer}.bn2.running_var"]),
        (
            block.shortcut.conv.kernel,
            given[f"{layer}.downsample.0.weight"].transpose(2, 3, 1, 0),
        ),
        (block.shortcut.norm.scale, given[f"{layer}.downsample.1.weight"]),
    ]:
        np.testing.assert_array_equal(ours[...], theirs)


def arrays(model) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in named_arrays(model).items()}


def assert_same(model, before: dict[str, np.ndarray], but: str = "nothing"):
    for name, array in arrays(model).items():
        if not name.startswith(but):
            np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("module", "head"), [("", "new_fc"), ("module.", "base_model.fc")]
)
def test_official_tsm(module, head):
    given = state_dict(head=head)
    model = tiny("tsm")
    load_torch(model, {module + name: array for name, array in given.items()})
    assert_holds(model, given)
    np.testing.assert_array_equal(model.fc.kernel[...], given[f"{head}.weight"].T)
    np.testing.assert_array_equal(model.fc.bias[...], given[f"{head}.bias"])


def test_official_tsn():
    given, model = state_dict(net=""), tiny("tsn")
    load_torch(model, given)
    assert_holds(model, given, net="")


@pytest.mark.parametrize("temporal", ["tsn", "tsm"])
def test_torchvision_fits_any_scheme(temporal):
    given = state_dict(prefix="", net="", head="fc", classes=1000)
    model = tiny(temporal)
    before = arrays(model)
    load_torch(model, given, head="skip")
    assert_holds(model, given, prefix="", net="")
    np.testing.assert_array_equal(model.fc.kernel[...], before["fc.kernel"])
    np.testing.assert_array_equal(model.fc.bias[...], before["fc.bias"])


@pytest.mark.parametrize("drop", [False, True])
def test_skipping_the_head_accepts_any_or_none(drop):
    given, model = state_dict(classes=99), tiny("tsm")
    before = arrays(model)
    if drop:
        given = {k: v for k, v in given.items() if not k.startswith("new_fc")}
    load_torch(model, given, head="skip")
    assert_holds(model, given)
    np.testing.assert_array_equal(model.fc.kernel[...], before["fc.kernel"])


def test_one_error_lists_all_that_does_not_fit():
    given, model = state_dict(classes=7), tiny("tsm")
    before = arrays(model)
    del given["base_model.bn1.running_mean"], given["base_model.layer3.0.conv2.weight"]
    given["base_model.extra.weight"] = np.zeros(3)
    given["base_model.conv1.weight"] = np.zeros((16, 10, 3, 3))
    with pytest.raises(ValueError) as error:
        load_torch(model, given)
    assert str(error.value) == (
        "the state dict does not fit the model: "
        "missing: base_model.bn1.running_mean, base_model.layer3.0.conv2.weight; "
        "unexpected: base_model.extra.weight; "
        "misshapen (channels last): "
        "base_model.conv1.weight (3, 3, 10, 16), the model has (3, 3, 3, 16), "
        "new_fc.bias (7,), the model has (4,), "
        "new_fc.weight (64, 7), the model has (64, 4)"
    )
    assert_same(model, before)


def test_shifted_weights_do_not_fit_a_network_without_shifts():
    model = tiny("tsn")
    before = arrays(model)
    with pytest.raises(ValueError) as error:
        load_torch(model, state_dict())
    message = str(error.value)
    assert "missing: base_model.layer1.0.conv1.weight, " in message
    assert "unexpected: base_model.layer1.0.conv1.net.weight, " in message
    assert_same(model, before)


def test_offline_weights_do_not_fit_a_causal_network():
    model = tiny("tsm", causal=True)
    before = arrays(model)
    with pytest.raises(
        ValueError, match="weights do not fit the model, which is causal"
    ):
        load_torch(model, state_dict(), head="skip")
    assert_same(model, before)


def official_names(case: str) -> tuple[dict, dict]:
    """`create`'s arguments, and zeros under every official name."""
    case = json.loads((GOLDEN / f"{case}.json").read_text())
    given = {name: np.zeros(shape, np.float32) for name, shape in case["state_dict"]}
    return case["create"], given


@pytest.mark.parametrize("case", ["gsf_r50_8f", "rubiksnet_tiny_aq"])
def test_networks_that_read_both_ways_only_initialise_causal_ones(case):
    named, given = official_names(case)
    model = nnx.eval_shape(lambda: create(**named, causal=True))
    with pytest.raises(ValueError, match="reads later frames, and the model is causal"):
        load_torch(model, given)
    load_torch(model, given, head="skip")


@pytest.mark.parametrize(
    ("prefix", "temporal", "options", "missed"),
    [
        # TSM's own names tell of shifts and of pooling.
        ("base_model.", "vsn", {"other_blocks": "tsn"}, "VSN's shuffle"),
        ("base_model.", "gsm", {"ratio": 0.5, "gate": 0}, "a gate's shift"),
        ("", "vsn", {"other_blocks": "tsn"}, "VSN's shuffle"),
        ("", "gsm", {"ratio": 0.5, "gate": 0}, "a gate's shift"),
        ("", "tsm", {}, "TSM's shift"),
        ("", "tsn", {"temporal_pool": True}, "pooling over time"),
    ],
)
def test_a_head_of_another_scheme(prefix, temporal, options, missed):
    model = tiny(temporal, **options)
    before = arrays(model)
    given = state_dict(prefix, "", "new_fc" if prefix else "fc")
    with pytest.raises(ValueError, match=f"trained without {missed}, the model has it"):
        load_torch(model, given)
    assert_same(model, before)
    load_torch(model, given, head="skip")


def test_a_networks_own_arrays_want_an_image_network_first():
    model = tiny("gsf", ratio=0.5)  # basic blocks, which no official gate is in
    with pytest.raises(ValueError, match="and .* more, which no checkpoint of family"):
        load_torch(model, state_dict("", "", "fc"), head="skip")


@pytest.mark.slow(but=("-tsn-*",))
@pytest.mark.parametrize(
    ("temporal", "options", "message"),
    [
        ("gsf", {}, r"missing: .*\.gsf\."),
        ("tsn", {"non_local": True}, r"missing: .*\.nl\."),
        ("i3d", {}, r"misshapen .*, the model has \(3, 1, 1, "),
    ],
)
@pytest.mark.parametrize("prefix", ["", "base_model."])
def test_an_image_networks_file_goes_through_an_image_network(
    temporal, options, message, prefix
):
    case = json.loads((GOLDEN / "tsn_r50_8f.json").read_text())
    given = {
        name.replace("base_model.", prefix): np.broadcast_to(0.0, shape)
        for name, shape in case["state_dict"]
    }
    options = options | {"num_classes": 174, "num_frames": 8}
    model = nnx.eval_shape(lambda: create("resnet50", temporal, **options))
    with pytest.raises(ValueError, match=message + ".*An image network's file fits"):
        load_torch(model, given, head="skip")


def test_gates_are_a_family_of_their_own():
    _, given = official_names("gsf_r50_8f")
    assert recognise(tiny(), set(given)).name == "gsf"


@pytest.mark.parametrize("furthest", [np.nan, -np.inf])
def test_a_shift_that_is_no_number_is_refused(furthest):
    named, given = official_names("rubiksnet_tiny")
    given["backbone.layer2.1.as3.rubiks3d.shift"][1, 7] = furthest
    model = nnx.eval_shape(lambda: create(**named))
    with pytest.raises(ValueError, match="a shift goes (nan|inf) places: the file is"):
        load_torch(model, given)


@pytest.mark.parametrize("given", [["a", "b"], None, {3: np.zeros(1)}])
def test_what_is_no_state_dict(given):
    message = "state_dict must be a mapping from names .* got "
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(load_torch)(tiny(), given)  # annotations are not checked


def test_unknown_family():
    with pytest.raises(ValueError, match="no known family .*tsm.*a, b, c"):
        load_torch(tiny(), dict.fromkeys("dcba", np.zeros(1)))


def test_wrong_head():
    with pytest.raises(ValueError, match="'load' or 'skip', got 'drop'"):
        load_torch(tiny(), state_dict(), head="drop")
