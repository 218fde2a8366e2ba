"""MotionSqueeze: values against NumPy and the official code, where it is, its cost."""

import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import (
    abstract,
    assert_learns,
    count,
    in_parts,
    random_clips,
    random_network,
    tiny,
)
from vidshift.nets.drawn import made_up_weight
from vidshift.nets.weights import split
from vidshift.shifts import NoPlaceError
from vidshift.shifts.motion_squeeze import MotionSqueeze, correlation, displacement

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "motion_squeeze.npz"


def layer(channels=16, **options) -> MotionSqueeze:
    return random_network(lambda: MotionSqueeze(channels, rngs=nnx.Rngs(0), **options))


@pytest.mark.parametrize(
    ("height", "width", "patch"), [(4, 3, 3), (2, 6, 5), (1, 1, 7)]
)
def test_correlation_is_that_of_a_loop(height, width, patch):
    x, y = (random_clips(height, width, 2, 5, seed=seed) for seed in (0, 1))
    found = correlation(x, y, patch)
    expected = np.zeros((height, 2, width, patch, patch))
    for h, w, i, j in itertools.product(*map(range, (height, width, patch, patch))):
        row, column = h + i - patch // 2, w + j - patch // 2
        if 0 <= row < height and 0 <= column < width:
            expected[h, :, w, i, j] = (x[h, w] * y[row, column]).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (-7, 7)])
def test_a_single_match_is_the_displacement(right, down):
    match = jnp.zeros((1, 1, 1, 15, 15)).at[..., 7 + down, 7 + right].set(0.9)
    expected = [right / 7, down / 7, 0.9]
    np.testing.assert_allclose(displacement(match)[0, 0, 0], expected, atol=1e-6)


def test_every_place_of_the_patch_is_found():
    """A match that stands out a little is the centre of the window around it."""
    match = jnp.where(jnp.eye(225), 0.52, 0.5)
    found = displacement(match.reshape(1, 1, 225, 15, 15))[0, 0]
    numbers = np.arange(225)
    places = np.stack([numbers % 15, numbers // 15], -1) / 7 - 1
    # The patch's edge cuts the window: the mean is drawn towards the middle.
    inside = (np.abs(places) < 0.3).all(-1)
    np.testing.assert_allclose(found[inside, :2], places[inside], atol=0.05)
    assert (np.sign(np.round(found[:, :2], 3)) == np.sign(places)).all()


def official(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Our array from the official code's, made up from its name there."""
    *module, leaf = name.split(".")
    places = ("chnl_reduction", 0)
    if module[0] == "refine":  # depthwise and 1x1 in one sequence
        unit = int(module[1])
        places = (f"flow_refinement.conv{unit // 2 + 1}", unit % 2 * 3)
    prefix = f"{places[0]}.{places[1] + (module[-1] == 'norm')}."
    if leaf == "kernel":
        theirs = (shape[3], shape[2], shape[0], shape[1])
        return made_up_weight(f"{prefix}weight", theirs).transpose(2, 3, 1, 0)
    leaves = {"scale": "weight", "mean": "running_mean", "var": "running_var"}
    return made_up_weight(prefix + leaves.get(leaf, leaf), shape)


def moving() -> np.ndarray:
    """Noise that goes two places to the right and one up a frame, and more noise."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 128, 24, 26)).astype(np.float32)
    frames = [noise[:, :, 3 + t : 12 + t, 8 - 2 * t : 18 - 2 * t] for t in range(4)]
    clips = np.stack(frames, 1)
    clips += 0.3 * rng.standard_normal(clips.shape).astype(np.float32)
    return clips.transpose(0, 1, 3, 4, 2)


@pytest.mark.parametrize("parts", [1, 2])
def test_values_are_those_of_the_official_code(parts):
    """Its correlation is an extension in C++; that was replaced by its definition."""
    abstract = nnx.eval_shape(lambda: MotionSqueeze(128, rngs=nnx.Rngs(0)))
    skeleton, params, stats = split(abstract)
    params, stats = (
        {name: official(name, a.shape) for name, a in arrays.items()}
        for arrays in (params, stats)
    )
    clips = jnp.asarray(moving())

    @jax.jit
    def run(clips):
        module, x = skeleton.merge(params, stats), in_parts(clips, parts)
        motion = x.like(module._motion(x)).clips()
        return motion, module(x).clips()

    motion, y = run(clips)
    with np.load(GOLDEN) as arrays:
        np.testing.assert_allclose(motion[:, :-1], arrays["motion"], atol=2e-4)
        np.testing.assert_allclose(y[..., ::64], arrays["y"], rtol=1e-3, atol=2e-3)
    np.testing.assert_array_equal(motion[:, -1], motion[:, -2])
    middle = motion[:, :, 3:6, 3:6].reshape(-1, 3)
    np.testing.assert_allclose(np.median(middle[:, :2], 0), [2 / 7, -1 / 7], atol=1e-3)


@pytest.mark.slow
def test_everything_learns_in_bfloat16_and_without():
    clips = random_clips(4, 3, 4, 4, 16)
    for dtype in ("float32", "bfloat16"):
        module = nnx.view(layer(dtype=dtype), use_running_average=False)
        x = clips.astype(dtype)
        assert_learns(module, lambda module, x=x: module(in_parts(x, 2)).data)


def test_where_it_is():
    for backbone, temporal, block in (
        ("resnet50", "gsf", 3),
        ("resnet18", "tsn", 1),
        ("resnet_tiny", "tsm", 0),
    ):
        model = abstract(backbone, temporal, motion_squeeze=True)
        found = [p for p, m in nnx.iter_modules(model) if isinstance(m, MotionSqueeze)]
        assert found == [("stages", 1, block, "after")]
        assert not model.causal


def test_a_network_with_it_sees_motion():
    model, clips = tiny("tsn", motion_squeeze=True), random_clips(2, 4, 16, 16, 3)
    run = jax.jit(lambda m, c: m(c))
    there, back = run(model, clips), run(model, clips[:, ::-1])
    assert np.abs(there - back).max() > 1e-4 * np.abs(there).max()
    with pytest.raises(ValueError, match="motion_squeeze compares.*2 frames or more"):
        model(clips[:, :1])


def test_refusals():
    with pytest.raises(ValueError, match="motion_squeeze reads later frames.*causal"):
        tiny(causal=True, motion_squeeze=True)
    with pytest.raises(NoPlaceError, match="bn_inception has no place for motion_sq"):
        abstract("bn_inception", "gsf", motion_squeeze=True)


def test_parameters_that_gsf_prints():
    """Its Table 8: 24.05 M."""
    with_it = abstract("resnet50", "gsf", num_classes=174, motion_squeeze=True)
    without = abstract("resnet50", "gsf", num_classes=174)
    assert count(with_it) - count(without) == 70_905
    assert f"{count(with_it) / 1e6:.2f}" == "24.05"
