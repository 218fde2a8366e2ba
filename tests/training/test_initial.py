"""First weights from another network's checkpoint: taken, inflated, new, or refused."""

import re

import numpy as np
import pytest

from tests.support.networks import abstract, random_network
from vidshift import checkpoints, create
from vidshift.checkpoints import CheckpointError
from vidshift.config import Config, DataConfig, ModelConfig
from vidshift.data import Split
from vidshift.description import Description
from vidshift.nets.weights import split
from vidshift.training.inflation import INFLATIONS, find_inflation
from vidshift.training.initial import initial_weights, is_image_network, shorten
from vidshift.training.shift_rows import find_row_move

CLASSES = ("left", "right", "up")


def described(backbone="resnet_tiny", temporal="tsn", *, classes=CLASSES, **options):
    """The description of a network, and the network with random weights."""
    frames = options.pop("num_frames", 4)
    channels = options.pop("in_channels", None)
    mean = options.pop("mean", (0.5, 0.5, 0.5))
    config = Config(
        model=ModelConfig(backbone=backbone, temporal=temporal, **options),
        data=DataConfig(num_frames=frames, mean=mean),
    )
    description = Description.of(config, Split(source=[], classes=classes))
    if channels:
        description.model["in_channels"] = channels
    return description


def network(description, seed):
    return random_network(lambda: create(**description.model), seed=seed)


def arrays_of(description, seed):
    """As a run has them: (parameters, statistics)."""
    _, params, stats = split(network(description, seed))
    return params, stats


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Writes a checkpoint of a network once, and gives its folder and arrays."""
    there = {}

    def write(*names, **options):
        key = repr((names, options))
        if key not in there:
            description = described(*names, **options)
            params, stats = arrays_of(description, 0)
            folder = tmp_path_factory.mktemp("source")
            checkpoints.write_weights(folder, params, stats, description.to_json())
            there[key] = str(folder), params | stats
        return there[key]

    return write


def start(folder, description):
    """`initial_weights` for a network of that description: (arrays, drawn, report)."""
    params, stats = arrays_of(description, 1)
    new_params, new_stats, report = initial_weights(folder, params, stats, description)
    assert (new_params.keys(), new_stats.keys()) == (params.keys(), stats.keys())
    return new_params | new_stats, params | stats, report


def assert_taken(found, source, but=()):
    assert source.keys() - set(but) <= found.keys()
    for name in source.keys() - set(but):
        np.testing.assert_array_equal(found[name], source[name], err_msg=name)


HEAD = ("fc.bias", "fc.kernel")


def test_the_same_names_take_everything(written):
    folder, source = written()
    found, _, report = start(folder, described(temporal="tsm"))
    assert_taken(found, source)
    assert report == f"initialised {len(source)} arrays from {folder}/checkpoints/0"


@pytest.mark.parametrize(
    ("classes", "differs"),
    [
        (
            ("right", "left", "up"),
            "they are in another order: class 0 is 'left' of it and 'right' of the data set",
        ),
        (
            ("left", "right", "b"),
            "it has 'up', which the data set has not; the data set has 'b', which it has not",
        ),
    ],
)
def test_other_classes_keep_the_new_head(written, classes, differs):
    folder, source = written()
    found, drawn, report = start(folder, described(temporal="tsm", classes=classes))
    assert_taken(found, source, but=HEAD)
    for name in HEAD:
        np.testing.assert_array_equal(found[name], drawn[name])
    assert report == (
        f"initialised {len(source) - 2} arrays from {folder}/checkpoints/0\n"
        "  new, since the classes differ: fc.bias, fc.kernel "
        f"({differs})"
    )


def test_a_scheme_starts_afresh_on_an_image_network(written):
    folder, source = written()
    found, drawn, report = start(folder, described(temporal="gsf"))
    own = found.keys() - source.keys()
    assert own and all("between" in name for name in own)
    assert_taken(found, source)
    assert_taken(found, {name: drawn[name] for name in own})
    assert f"\n  new: {shorten(own)}" in report
    assert "3 x stages.*.*.units.*.between.gate.kernel" in report


@pytest.mark.slow
def test_a_scheme_goes_on_from_itself_alone(written):
    gsf, source = written(temporal="gsf")
    found, _, _ = start(gsf, described(temporal="gsf"))
    assert_taken(found, source)
    with pytest.raises(CheckpointError, match=r"unknown here \(.*between"):
        start(gsf, described(temporal="tsm"))
    # TSM has learned with its shift: it is no image network to build upon.
    tsm, _ = written(temporal="tsm")
    with pytest.raises(CheckpointError, match=r"missing there \(.*between"):
        start(tsm, described(temporal="gsf"))


def test_what_the_image_network_has_must_be_there(tmp_path):
    description = described()
    params, stats = arrays_of(description, 0)
    del stats["stages.1.0.units.0.norm.var"]
    params["stem.other"] = params.pop("stem.conv.kernel")
    params["fc.kernel"] = np.zeros((3, 3), np.float32)
    checkpoints.write_weights(tmp_path, params, stats, description.to_json())
    with pytest.raises(CheckpointError) as error:
        start(str(tmp_path), described(temporal="gsf"))
    assert str(error.value) == (
        f"init={tmp_path} does not fit the network: "
        "2 missing there (stages.*.*.units.*.norm.var, stem.conv.kernel); "
        "1 unknown here (stem.other); 1 of another shape (fc.kernel)"
    )


def test_kernels_over_time(written):
    folder, source = written()
    found, _, report = start(folder, described(temporal="i3d"))
    wide = [name for name, array in found.items() if np.ndim(array) == 5]
    assert len(wide) == 3
    assert_taken(found, source, but=wide)
    for name in wide:
        for frame in found[name]:
            np.testing.assert_allclose(frame, source[name] / 3, rtol=1e-6)
    assert (
        "\n  an equal share of the kernel there at each frame: "
        "3 x stages.*.*.units.*.conv.kernel" in report
    )


@pytest.mark.slow
def test_relations_are_in_the_place_of_the_head(written):
    folder, source = written()
    for classes in (CLASSES, ("a", "b")):
        description = described(temporal="trn", classes=classes)
        found, drawn, report = start(folder, description)
        own = {name for name in found if name.startswith("clip_head.")}
        assert_taken(found, source, but=HEAD)
        assert_taken(found, {name: drawn[name] for name in own})
        assert report.endswith(
            "\n  left out, since the new head is another: fc.bias, fc.kernel"
        )
    with pytest.raises(CheckpointError, match=r"missing there \(fc.bias, fc.kernel\)"):
        start(written(temporal="trn")[0], described())


@pytest.mark.slow
def test_kernels_of_groups_are_the_leading_channels(written):
    """Of shapes alone, in a network of bottlenecks."""
    tsn, gst = (split(abstract("resnet50", temporal))[1] for temporal in ("tsn", "gst"))
    fewer = {n for n in tsn.keys() & gst.keys() if tsn[n].shape != gst[n].shape}
    assert len(fewer) == 16 and tsn.keys() <= gst.keys()
    for name in fewer:
        arrays = np.zeros(tsn[name].shape, bool), np.zeros(gst[name].shape, bool)
        rule = find_inflation(*arrays, first=False, of_images=True)
        assert rule is INFLATIONS[-1]
        assert rule.make(*arrays).shape == gst[name].shape


def test_kernels_over_time_need_an_image_network(written):
    folder, _ = written(temporal="tsm")
    with pytest.raises(CheckpointError, match=r"of another shape \(3 x stages"):
        start(folder, described(temporal="i3d"))


@pytest.mark.slow(but=("3-10",))
@pytest.mark.parametrize(("there", "here"), [(3, 10), (10, 3)])
def test_other_channels_of_a_clip(written, there, here):
    folder, source = written(in_channels=there)
    found, _, report = start(folder, described(temporal="tsm", in_channels=here))
    kernel = found["stem.conv.kernel"]
    assert kernel.shape == (3, 3, here, 16)
    for channel in range(here):
        np.testing.assert_allclose(
            kernel[:, :, channel],
            np.mean(source["stem.conv.kernel"], axis=2),
            rtol=1e-5,
            atol=1e-7,
        )
    assert_taken(found, source, but=["stem.conv.kernel"])
    assert (
        "\n  the mean over the channels read there, for each one here: stem.conv.kernel"
        in report
    )


def test_inflations_by_hand():
    channels, time, leading = INFLATIONS
    kernel = np.arange(6.0).reshape(1, 1, 3, 2)
    wide = channels.make(kernel, np.zeros((1, 1, 2, 2)))
    np.testing.assert_array_equal(wide, [[[[2, 3], [2, 3]]]])
    frames = time.make(kernel, np.zeros((2, 1, 1, 3, 2)))
    np.testing.assert_array_equal(frames, [kernel / 2, kernel / 2])
    few = leading.make(kernel, np.zeros((1, 1, 2, 1)))
    np.testing.assert_array_equal(few, [[[[0], [2]]]])


@pytest.mark.parametrize(
    ("there", "here", "first", "of_images", "found"),
    [
        ((3, 3, 3, 8), (3, 3, 10, 8), True, False, 0),
        ((3, 3, 3, 8), (3, 3, 10, 8), False, True, None),  # a layer within
        ((3, 3, 3, 8), (3, 3, 10, 9), True, True, None),
        ((3, 3, 4, 8), (5, 3, 3, 4, 8), False, True, 1),
        ((3, 3, 4, 8), (5, 3, 3, 4, 8), False, False, None),
        ((3, 3, 4, 8), (5, 1, 3, 4, 8), False, True, None),
        ((4, 8), (3, 4, 8), False, True, None),
        ((3, 3, 8, 8), (3, 3, 4, 6), False, True, 2),
        ((3, 3, 8, 8), (3, 3, 4, 6), False, False, None),
        ((3, 3, 8, 8), (3, 3, 4, 8), False, True, None),
        ((1, 1, 8, 8), (1, 1, 4, 6), False, True, None),
    ],
)
def test_which_inflation(there, here, first, of_images, found):
    there, here = np.zeros(there), np.zeros(here)
    rule = find_inflation(there, here, first=first, of_images=of_images)
    assert rule is (None if found is None else INFLATIONS[found])


def test_another_backbone_is_said_first(written):
    folder, _ = written()
    with pytest.raises(CheckpointError) as error:
        start(folder, described("rubiksnet_micro"))
    assert str(error.value) == (
        f"init={folder} is a resnet_tiny, the network is a rubiksnet_micro"
    )


@pytest.mark.slow
def test_a_shuffle_is_for_its_frames(written):
    folder, source = written(temporal="vsn", num_frames=4)
    found, _, _ = start(folder, described(temporal="vsn", num_frames=4))
    assert_taken(found, source)
    with pytest.raises(CheckpointError, match="its weights belong to 4 frames, the ne"):
        start(folder, described(temporal="vsn", num_frames=8))
    image, source = written(temporal="tsn", num_frames=4)
    found, _, _ = start(image, described(temporal="vsn", num_frames=8))
    assert_taken(found, source)


@pytest.mark.parametrize("causal", [False, True])
def test_a_network_that_reads_other_frames_is_named(written, causal):
    folder, _ = written(temporal="tsm", causal=causal)
    _, _, report = start(folder, described(temporal="tsm", causal=not causal))
    reads = "no later frame" if causal else "later frames"
    assert report.endswith(
        f"\n  its network reads {reads}, unlike this one: the names alone fit"
    )


def test_another_normalisation_is_named(written):
    folder, _ = written()
    _, _, report = start(folder, described(mean=(0.4, 0.5, 0.6)))
    assert report.endswith(
        "\n  its pixels were normalised by another data.mean: [0.5, 0.5, 0.5], here "
        "[0.4, 0.5, 0.6]"
    )


AT_FIRST = "time_init=tsm-g0.1"
DROPPED = "row t dropped for"


TSM, SHIFTNET = "TSM's fixed distances", "ShiftNet's fixed distances"
# (there, here, rows of a shift: (t)aken from there or as they are (d)rawn, what is said)
MOVES = [
    ("spatial", "quantized", "dtt", f"rows h, w from there; row t new ({AT_FIRST})"),
    ("spatial", "attention", "tt", ""),
    ("interpolated", "quantized", "ttt", ""),
    (
        "interpolated",
        "attention",
        "tt",
        f"rows h, w from there; {DROPPED} an attention",
    ),
    (
        "interpolated",
        "interpolated, time",
        "tt",
        f"rows h, w from there; {DROPPED} {TSM}",
    ),
    (
        "interpolated",
        "interpolated, space",
        "t",
        f"row t from there; rows h, w dropped for {SHIFTNET}",
    ),
    (
        "interpolated",
        "interpolated, time, space",
        "",
        f"{DROPPED} {TSM}; rows h, w dropped for {SHIFTNET}",
    ),
    (
        "spatial",
        "interpolated, space",
        "d",
        f"row t new ({AT_FIRST}); rows h, w dropped for {SHIFTNET}",
    ),
    ("interpolated, time", "attention", "tt", ""),
    ("attention", "attention, space", "", f"rows h, w dropped for {SHIFTNET}"),
]


@pytest.mark.exhaustive(
    but=("spatial to quantized", "interpolated to attention", "* to *, time, space")
)
@pytest.mark.parametrize(
    ("there", "here", "rows", "said"), MOVES, ids=[f"{x[0]} to {x[1]}" for x in MOVES]
)
def test_rubiksnet_from_another_one(written, there, here, rows, said):
    folder, source = written("rubiksnet_micro", **variant(there))
    found, drawn, report = start(folder, described("rubiksnet_micro", **variant(here)))
    shifts = [name for name in source if name.endswith("shift.shift")]
    assert len(shifts) == 3
    assert_taken(found, source, but=shifts)
    for name in shifts:
        assert (name in found) == bool(rows)
        for row, kind in enumerate(rows):
            back = len(rows) - row
            wanted = drawn[name] if kind == "d" else source[name]
            # Rows h and w are the last ones wherever they are learned.
            wanted = wanted[row if "space" in here else -back]
            np.testing.assert_array_equal(found[name][row], wanted)
    lines = report.splitlines()[1:]
    assert (f"  {said}: 3 x stages.*.*.shift.shift" in lines) == bool(said)
    afresh = "  the attention starts from U[1, 1.05] (attention_init=paper)"
    new = here == "attention"
    assert (afresh in lines) == new and len(lines) == bool(said) + 2 * new


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        ("spatial, space", "attention", "has ShiftNet's fixed distances in space"),
        ("attention", "quantized", "has an attention in time, and the network learns"),
        ("attention", "interpolated, time", "chose its shifts in time by attention"),
        ("quantized, time", "quantized", "has TSM's fixed distances in time"),
        (
            "interpolated",
            "spatial",
            "shifts in time by itself (variant='interpolated')",
        ),
    ],
)
def test_rubiksnets_that_are_no_start(there, here, message):
    there, here = ({"backbone": "rubiksnet_micro"} | variant(x) for x in (there, here))
    of_images = there["variant"] == "spatial"
    with pytest.raises(CheckpointError, match=f"init=x {re.escape(message)}"):
        find_row_move("x", there, here, of_images=of_images)


def variant(name: str) -> dict:
    """Options of a variant, and which axes are fixed: "interpolated, time, space"."""
    kind, *fixed = name.split(", ")
    return {"variant": kind, "time_init": "auto"} | dict.fromkeys(fixed, "fixed")


@pytest.mark.slow  # networks of 24 M parameters
def test_slow_from_a_resnet50(written):
    folder, source = written("resnet50")
    found, _, report = start(folder, described("slow_8x8_r50"))
    wide = {name for name, array in found.items() if np.ndim(array) == 5}
    assert found.keys() == source.keys() and len(wide) == 9
    assert_taken(found, source, but=wide)
    assert "kernel there at each frame: 9 x stages.*.*.units.*.conv.kernel" in report
    with pytest.raises(CheckpointError, match="is a resnet50, the network is a slowfa"):
        start(folder, described("slowfast_4x16_r50", num_frames=32))


@pytest.mark.parametrize(
    ("model", "image"),
    [
        ({"backbone": "resnet50", "temporal": "tsn"}, True),
        ({"backbone": "resnet50", "temporal": "tsm"}, False),
        ({"backbone": "resnet50", "temporal": "tsn", "non_local": True}, False),
        ({"backbone": "resnet50", "temporal": "tsn", "non_local": False}, True),
        ({"backbone": "resnet50", "temporal": "tsn", "temporal_pool": True}, False),
        ({"backbone": "rubiksnet_tiny", "temporal": "tsn"}, False),
        ({"backbone": "rubiksnet_tiny", "temporal": "tsn", "variant": "spatial"}, True),
        (
            {"backbone": "rubiksnet_tiny", "temporal": "tsm", "variant": "spatial"},
            False,
        ),
        ({"backbone": "slow_8x8_r50", "temporal": "tsn"}, False),
        ({"backbone": "slowfast_8x8_r50", "temporal": "tsn"}, False),
    ],
)
def test_image_networks(model, image):
    assert is_image_network(model) is image


def test_shortened_names():
    names = [f"stages.{s}.{b}.units.2.conv.kernel" for s in (0, 1) for b in (0, 11)]
    assert shorten([*names, "fc.bias"]) == "fc.bias, 4 x stages.*.*.units.*.conv.kernel"
    assert shorten(f"{c}.bias" for c in "abcdefghi").endswith("g.bias, h.bias, ...")
