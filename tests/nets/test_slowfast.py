"""Slow and SlowFast: sizes, the head on larger clips, and names of two code bases."""

import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.files import GOLDEN
from tests.support.networks import count, random_clips, random_network
from vidshift import create, load_torch, train_view
from vidshift.nets.drawn import made_up_weights
from vidshift.nets.slowfast import Slow, SlowFast
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts.temporal import TSN
from vidshift.torch_weights.load import recognise


def small(make, **options):
    """A network of a tenth of the width with a block a stage."""
    options = {"blocks": (1, 1, 1, 1), "num_classes": 4, "width": 0.1} | options
    return make(TSN(), rngs=nnx.Rngs(0), **options)


slow = partial(small, Slow, num_frames=4)
slowfast = partial(small, SlowFast, alpha=4, lateral_time=5, num_frames=8)


def abstract(backbone, num_frames, **options):
    return nnx.eval_shape(
        lambda: create(backbone, num_classes=400, num_frames=num_frames, **options)
    )


# A3D's Tables 9 to 11, in millions; exact sizes of the channels decide them.
@pytest.mark.slow(but=("Slow-0.5-8.3",))
@pytest.mark.parametrize(
    ("make", "width", "millions"),
    [(Slow, 0.5, 8.3), (Slow, 0.73, 17.5), (SlowFast, 0.63, 14.5)],
)
def test_narrow_counts_are_the_papers(make, width, millions):
    own = {} if make is Slow else {"alpha": 8, "lateral_time": 5}
    own |= {"num_classes": 400, "num_frames": 32, "blocks": (3, 4, 6, 3)}
    model = nnx.eval_shape(lambda: small(make, width=width, **own))
    assert round(count(model) / 1e6, 1) == millions


def run(model, clips):
    return jax.jit(lambda m, c: m(c))(model, clips)


@pytest.mark.slow
def test_a_larger_clip_gives_the_mean_of_its_positions():
    model = random_network(partial(slowfast, head_size=32))
    frames = model.num_frames
    clips = random_clips(1, frames, 64, 32, 3)
    pathways = jax.jit(lambda m, c: [x.clips() for x, _ in m.pathways(c)])
    pooled = pathways(model, clips)
    assert all(x.shape[2:4] == (2, 1) for x in pooled)
    positions = [
        jnp.concatenate([x[:, :, i].mean((1, 2)) for x in pooled], -1) for i in (0, 1)
    ]
    probabilities = [jax.nn.softmax(model.fc(p)) for p in positions]
    expected = jnp.log(sum(probabilities) / 2)
    np.testing.assert_allclose(run(model, clips), expected, atol=1e-5)
    # One position: logits, not their softmax.
    small = clips[:, :, :32]
    whole = random_network(slowfast)
    np.testing.assert_allclose(run(model, small), run(whole, small), atol=1e-5)


@pytest.mark.slow
def test_slow_frames_of_the_fast_ones():
    model = random_network(slowfast)
    clips = random_clips(1, 8, 32, 32, 3)
    slow_frames = jax.eval_shape(lambda m, c: m.pathways(c)[1][0].clips(), model, clips)
    assert slow_frames.shape[1] == 2
    changed = clips.at[:, 3].add(1.0)  # only the Fast pathway sees frame 3
    before, after = run(model, clips), run(model, changed)
    assert float(jnp.abs(after - before).max()) > 0


@pytest.mark.parametrize(
    ("make", "shape", "said"),
    [
        (partial(slow, head_size=64), (1, 4, 32, 32, 3), "head_size=64 pools 2 x 2"),
        (slow, (1, 4, 32, 32), "must be .B, T, H, W, 3."),
        (slowfast, (1, 6, 32, 32, 3), "multiple of 4 frames, got 6"),
    ],
)
def test_clips_that_do_not_fit(make, shape, said):
    model = nnx.eval_shape(make)
    with pytest.raises(ValueError, match=said):
        jax.eval_shape(lambda m, c: m(c), model, jax.ShapeDtypeStruct(shape, "float32"))


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="num_frames must be a multiple of 8, got 12"):
        abstract("slowfast_4x16_r50", 12)
    with pytest.raises(ValueError, match="head_size must be a whole number"):
        abstract("slow_8x8_r50", 8, head_size=7)
    with pytest.raises(AttributeError):
        abstract("slow_8x8_r50", 8).frame_logits  # noqa: B018


# `tests/adaptive/test_slim.py` has gradients of SlowFast.
@pytest.mark.slow
def test_gradients_are_finite():
    model = random_network(slow)
    skeleton, params, stats = split(train_view(model))
    clips = random_clips(2, model.num_frames, 32, 32, 3)

    def loss(params):
        return (skeleton.merge(params, stats)(clips) ** 2).sum()

    grads = jax.jit(jax.grad(loss))(params)
    assert all(bool(jnp.isfinite(g).all()) for g in grads.values())
    assert all(float(jnp.abs(g).max()) > 0 for g in grads.values())


def to_pytorchvideo(name: str, fast: bool) -> str:
    """A name of SlowFast's repository as PyTorchVideo has it."""

    def pathway(p):
        return f"multipathway_blocks.{p}." if fast else ""

    rules = (
        (r"s1\.pathway(\d)_stem\.conv", lambda p: f"blocks.0.{pathway(p)}conv"),
        (r"s1\.pathway(\d)_stem\.bn", lambda p: f"blocks.0.{pathway(p)}norm"),
        (
            r"s(\d)\.pathway(\d)_res(\d)\.branch([12])(?:\.([abc]))?(_bn)?",
            lambda s, p, b, branch, unit, bn: (
                f"blocks.{int(s) - 1}.{pathway(p)}res_blocks.{b}."
                + (
                    f"branch1_{'norm' if bn else 'conv'}"
                    if branch == "1"
                    else f"branch2.{'norm' if bn else 'conv'}_{unit}"
                )
            ),
        ),
        (
            r"s(\d)_fuse\.(conv_f2s|bn)",
            lambda s, kind: (
                f"blocks.{int(s) - 1}.multipathway_fusion."
                + ("norm" if kind == "bn" else "conv_fast_to_slow")
            ),
        ),
        (r"head\.projection", lambda: f"blocks.{6 if fast else 5}.proj"),
    )
    module, leaf = name.rsplit(".", 1)
    for pattern, make in rules:
        match = re.fullmatch(pattern, module)
        if match:
            return f"{make(*match.groups())}.{leaf}"
    raise AssertionError(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "prefix"), [("slow_8x8_r50", ""), ("slowfast_4x16_r50", "model.")]
)
def test_pytorchvideos_names_load_the_same(case, prefix):
    case = json.loads((GOLDEN / f"{case}.json").read_text())
    fast = case["family"] == "slowfast"
    given = made_up_weights(case["state_dict"])
    models = [nnx.eval_shape(lambda: create(**case["create"])) for _ in range(2)]
    load_torch(models[0], given)
    video = {prefix + to_pytorchvideo(k, fast): v for k, v in given.items()}
    assert recognise(models[1], set(video)).name == "pytorchvideo"
    load_torch(models[1], video)
    ours, theirs = map(named_arrays, models)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    if fast:
        # What is always kept comes first: 16 lateral channels before 64, 256 before 2048.
        fused = given["s2.pathway0_res0.branch2.a.weight"][:, :, 0, 0, 0].T
        kernel = np.asarray(ours["slow.stages.0.0.units.0.conv.kernel"])[0, 0]
        np.testing.assert_array_equal(kernel, np.concatenate([fused[64:], fused[:64]]))
        head = given["head.projection.weight"].T
        np.testing.assert_array_equal(
            ours["fc.kernel"], np.concatenate([head[2048:], head[:2048]])
        )
