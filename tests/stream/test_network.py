"""A stream's answers are those of the whole clip, for every causal scheme and backbone."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.files import GOLDEN, ROOT
from tests.support.networks import random_network
from vidshift import create, load_torch, parity, stream
from vidshift.nets.drawn import made_up_weights
from vidshift.shifts.attention import WholeShift
from vidshift.shifts.rubiks import ShiftParam

FRAMES = 5
GOLDEN = GOLDEN / "tsm_online_mobilenetv2.json"
CAUSAL = {"causal": True}
ATTENTION = CAUSAL | {"variant": "attention"}
SPATIAL = CAUSAL | {"variant": "spatial"}


def network(backbone, temporal, *, seed=0, **options):
    """Random weights; shifts and distances go as far as they may, and beyond."""
    options = {"num_classes": 5, "num_frames": FRAMES} | options
    model = random_network(lambda: create(backbone, temporal, **options), seed=seed)
    rng = np.random.default_rng(seed)
    for _, module in nnx.iter_modules(model):
        if isinstance(module, WholeShift):
            chosen = rng.choice(module.distances, module.distance.shape)
            module.distance[...] = jnp.asarray(chosen, jnp.int32)
        shift = getattr(module, "shift", None)
        if isinstance(shift, ShiftParam):
            drawn = rng.uniform(-1.5, 1.5, shift.shape).astype(np.float32)
            drawn[:, :3] = [0, 1, -1]
            drawn[:, 3:7] *= 2
            shift[...] = jnp.asarray(drawn)
    return model


def clips(batch=2, frames=FRAMES, side=32, channels=3):
    shape = (batch, frames, side, side, channels)
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@jax.jit
def frame_logits(model, video):
    return model.frame_logits(video)


def offline(model, video):
    return np.asarray(frame_logits(model, video))


def streamed(model, video, **options):
    init, step = stream.make(model, **options)
    cache = init(video.shape[0], video.shape[2:4])
    found = []
    for t in range(video.shape[1]):
        logits, cache = step(cache, video[:, t])
        found.append(logits)
    return np.stack(found, 1)


def assert_close(found, wanted, tolerance=1e-5):
    assert np.isfinite(wanted).all() and np.abs(wanted).max() > 0
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def arrays_of(jaxpr):
    """Every array of a program and of those in it."""
    yield from (*jaxpr.constvars, *jaxpr.invars, *jaxpr.outvars)
    for equation in jaxpr.eqns:
        yield from equation.outvars
        for value in equation.params.values():
            inner = value if isinstance(value, tuple | list) else (value,)
            for one in inner:
                one = getattr(one, "jaxpr", one)
                if hasattr(one, "eqns"):
                    yield from arrays_of(one)


def largest_rank(model, video):
    init, step = stream.make(model)
    cache = init(video.shape[0], video.shape[2:4])
    traced = jax.make_jaxpr(step)(cache, video[:, 0], np.zeros(len(video), bool))
    return max(variable.aval.ndim for variable in arrays_of(traced.jaxpr))


NETWORKS = {
    "tsn": ("resnet_tiny", "tsn", {}),
    "tsm": ("resnet_tiny", "tsm", CAUSAL),
    "tsm-block": ("resnet_tiny", "tsm", CAUSAL | {"placement": "block"}),
    "tsm-side": ("resnet_tiny", "tsm", CAUSAL | {"side": 16}),
    "tsm-slim": ("resnet_tiny", "tsm", CAUSAL | {"width": 0.5}),
    "gsm": ("resnet_tiny", "gsm", CAUSAL),
    "gsf": ("resnet_tiny", "gsf", CAUSAL),
    "gsf-half": ("resnet_tiny", "gsf", CAUSAL | {"ratio": 0.5}),
    "gsf-slim": ("resnet_tiny", "gsf", CAUSAL | {"width": 0.5}),
    "gsf-fixed": ("resnet_tiny", "gsf", CAUSAL | {"gate": 1}),
    "gsf-sum": ("resnet_tiny", "gsf", CAUSAL | {"gate": -1, "fusion": "sum"}),
    "rubiks": ("rubiksnet_micro", "tsn", CAUSAL),
    "rubiks-time": ("rubiksnet_micro", "tsn", CAUSAL | {"time": "fixed"}),
    "rubiks-space": ("rubiksnet_micro", "tsn", CAUSAL | {"space": "fixed"}),
    "rubiks-fixed": (
        "rubiksnet_micro",
        "tsn",
        CAUSAL | {"space": "fixed", "time": "fixed"},
    ),
    "rubiks-quantized": ("rubiksnet_micro", "tsn", CAUSAL | {"variant": "quantized"}),
    "rubiks-attention": ("rubiksnet_micro", "tsn", ATTENTION),
    "rubiks-taps": ("rubiksnet_micro", "tsn", ATTENTION | {"taps": 5}),
    "rubiks-hardened": (
        "rubiksnet_micro",
        "tsn",
        ATTENTION | {"taps": 5, "hardened": True},
    ),
    "rubiks-spatial": ("rubiksnet_micro", "tsn", SPATIAL),
    "rubiks-tsm": ("rubiksnet_micro", "tsm", SPATIAL),
    "rubiks-gsf": (
        "rubiksnet_micro",
        "gsf",
        SPATIAL | {"ratio": 0.3, "place": "conv1"},
    ),
    "resnet18-tsm": ("resnet18", "tsm", CAUSAL),
    "resnet50-gsf": ("resnet50", "gsf", CAUSAL | {"ratio": 1.0, "place": "conv2"}),
    "mobilenet-tsm": ("mobilenet_v2", "tsm", CAUSAL),
    "bn_inception-gsm": ("bn_inception", "gsm", CAUSAL),
    "inception_v3-gsf": ("inception_v3", "gsf", CAUSAL),
    "rubiks_tiny-hardened": ("rubiksnet_tiny", "tsn", ATTENTION | {"hardened": True}),
    "rubiks_small": ("rubiksnet_small", "tsn", CAUSAL),  # squeeze and excitation
}


# Every scheme and option on a small network, and every kind of backbone once.
SAMPLE = [name for name in NETWORKS if NETWORKS[name][0].endswith(("_tiny", "_micro"))]
SAMPLE += ["resnet18-tsm", "resnet50-gsf", "mobilenet-tsm", "bn_inception-gsm"]
SAMPLE += ["rubiks_small"]


@pytest.mark.exhaustive(but=SAMPLE)
@pytest.mark.slow(but=("rubiks-hardened",))  # and those of the next test
@pytest.mark.parametrize("name", NETWORKS)
def test_every_frame_is_answered_as_offline(name):
    backbone, temporal, options = NETWORKS[name]
    model = network(backbone, temporal, **options)
    assert model.causal
    video = clips(side=75 if backbone == "inception_v3" else 32)
    whole = offline(model, video)
    assert_close(streamed(model, video), whole)
    # No frame reads a later one, and some read earlier ones.
    other = video.copy()
    other[:, 2] += 1
    changed = (offline(model, other) != whole).any((0, 2))
    reads_the_past = temporal != "tsn" or name.startswith("rubiks")
    reads_the_past &= name != "rubiks-spatial"
    assert changed[:3].tolist() == [False, False, True]
    assert changed[3] == reads_the_past
    assert largest_rank(model, video) <= 4


@pytest.mark.slow(but=("gsf",))
@pytest.mark.parametrize("name", ["tsm", "gsf", "rubiks", "rubiks-hardened"])
def test_streams_do_not_know_of_each_other(name):
    backbone, temporal, options = NETWORKS[name]
    model, video = network(backbone, temporal, **options), clips(batch=3, side=16)
    begun = 2
    alone = offline(model, video)
    later = offline(model, video[:, begun:])
    init, step = stream.make(model)
    order = np.array([2, 0, 1])
    cache, again = init(3, 16), init(3, 16)
    for t in range(FRAMES):
        reset = np.array([False, t == begun, False])
        logits, cache = step(cache, video[:, t], reset)
        assert_close(logits[::2], alone[::2, t])
        wanted = alone[1, t] if t < begun else later[1, t - begun]
        assert_close(logits[1], wanted)
        turned, again = step(again, video[order, t], reset[order])
        np.testing.assert_allclose(turned, logits[order], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tsm", "gsf", "rubiks", "rubiks-attention"])
def test_bfloat16(name):
    backbone, temporal, options = NETWORKS[name]
    model, video = network(backbone, temporal, dtype="bfloat16", **options), clips()
    exact = offline(network(backbone, temporal, **options), video)
    assert_close(streamed(model, video), offline(model, video), 0.05)
    assert_close(streamed(model, video), exact, 0.05)
    init, _ = stream.make(model)
    kept = {a.dtype.name for n, a in init(1, 32).items() if "before.past" in n}
    assert kept <= {"bfloat16", "float32"}


def test_what_is_kept():
    def shapes(name):
        backbone, temporal, options = NETWORKS[name]
        init, _ = stream.make(network(backbone, temporal, **options))
        return {name: a.shape for name, a in init(3, 32).items()}

    tsm = shapes("tsm")
    assert [tsm[name] for name in sorted(tsm)] == [
        (16, 16, 3, 2),
        (16, 16, 3, 2),
        (8, 8, 3, 4),
    ]
    first = "stages.0.0.units.1.between"
    assert {n: s for n, s in shapes("gsf").items() if n.startswith(first)} == {
        f"{first}.before.past": (16, 16, 3, 4),
        f"{first}.gate.before.0.past": (16, 16, 3, 2),
        f"{first}.gate.before.1.past": (16, 16, 3, 2),
        f"{first}.past_means.0": (3, 8),
        f"{first}.past_means.1": (3, 8),
    }
    # After the stride, and only what the next frames read: causal TSM's fold.
    assert list(shapes("rubiks-fixed").values()) == [
        (16, 16, 3, 27 // 8),
        (8, 8, 3, 54 // 8),
        (4, 4, 3, 108 // 8),
    ]


def test_a_rubiksnet_keeps_the_channels_that_are_read():
    model = network("rubiksnet_micro", "tsn", **NETWORKS["rubiks-hardened"][2])
    far = np.zeros(27, np.int32)
    far[[3, 8, 20]] = -1, -3, -1
    model.stages[0][0].attention.distance[...] = jnp.asarray(far)
    init, _ = stream.make(model)
    kept = {n: a.shape[-1] for n, a in init(1, 16).items() if "stages.0" in n}
    assert list(kept.values()) == [3, 1, 1]


def test_a_network_of_shapes_has_a_stream_of_shapes():
    model = network("resnet_tiny", "gsf", **CAUSAL)
    shapes, arrays = (
        {name: array.shape for name, array in stream.make(m)[0](1, 16).items()}
        for m in (nnx.eval_shape(lambda: model), model)
    )
    assert shapes == arrays


def test_a_network_of_shapes_has_no_stream_of_shifts():
    model = nnx.eval_shape(
        lambda: create("rubiksnet_micro", num_classes=2, num_frames=4, causal=True)
    )
    with pytest.raises(ValueError, match="made of its weights, and this one has only"):
        stream.make(model)


@pytest.mark.parametrize(
    ("backbone", "temporal", "options"),
    [
        ("resnet_tiny", "gsf", {}),
        ("rubiksnet_micro", "tsn", {}),
        ("rubiksnet_micro", "tsn", {"variant": "attention"}),
        ("rubiksnet_micro", "tsm", {"variant": "spatial"}),
    ],
)
def test_a_network_that_reads_later_frames_has_no_stream(backbone, temporal, options):
    model = nnx.eval_shape(
        lambda: create(backbone, temporal, num_classes=2, num_frames=4, **options)
    )
    assert not model.causal
    with pytest.raises(ValueError, match="reads no later frame, and this one does"):
        stream.make(model)


@pytest.mark.slow
def test_the_official_online_network_frame_by_frame():
    case = json.loads(GOLDEN.read_text())
    model = nnx.eval_shape(lambda: create(**case["create"]))
    given = made_up_weights(case["state_dict"])
    load_torch(model, given)
    video = parity.made_up_clip(case)
    wanted = np.load(GOLDEN.with_suffix(".npz"))["logits_per_frame"]
    assert_close(streamed(model, video)[0], wanted)
    init, _ = stream.make(model)
    # Every block's, from the input on, as the official code has them.
    kept = [a.shape for a in init(case["batch"], case["size"]).values()]
    official = case["cache_shapes_nchw"]
    assert sorted(kept) == sorted((h, w, n, c) for n, c, h, w in official)


def test_the_state_of_tsms_resnet50_is_the_documented_one():
    """An eighth of each block's input; the paper's 0.9 MB are no type's."""
    model = nnx.eval_shape(
        lambda: create("resnet50", "tsm", causal=True, num_classes=2, num_frames=8)
    )
    state = stream.make(model)[0](1, 224)
    # Side -> eighths of the channels of each block's input.
    inputs = {56: [8, 32, 32, 32], 28: [64] * 4, 14: [128] * 6, 7: [256] * 2}
    values = sum(side**2 * sum(eighths) for side, eighths in inputs.items())
    assert sum(array.size for array in state.values()) == values == 702_464
    assert sum(array.nbytes for array in state.values()) == 4 * values
    page = (ROOT / "docs" / "streaming.md").read_text()
    assert "702,464 values" in page
