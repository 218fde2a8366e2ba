"""Non-local blocks: values against NumPy, where they are, official weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import (
    abstract,
    assert_learns,
    in_parts,
    random_clips,
    random_network,
    tiny,
)
from vidshift.kernels import Frames
from vidshift.nets.weights import named_arrays
from vidshift.shifts import NoPlaceError
from vidshift.shifts.non_local import NonLocal

PLACES = {(1, 0), (1, 2), (2, 0), (2, 2), (2, 4)}


def layer(channels=6, **options) -> NonLocal:
    return random_network(lambda: NonLocal(channels, rngs=nnx.Rngs(0), **options))


def expected(layer: NonLocal, clips) -> np.ndarray:
    """In float64, one clip and one query after the other."""
    arrays = {k: np.asarray(v, np.float64) for k, v in named_arrays(layer).items()}

    def conv(x, name):
        return x @ arrays[f"{name}.kernel"][0, 0] + arrays[f"{name}.bias"]

    def pool(x):
        frames, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        x = x.reshape(frames, height // 2, 2, width // 2, 2, channels)
        return x.max((2, 4)).reshape(-1, channels)

    results = []
    for x in np.asarray(clips, np.float64):
        keys, values = pool(conv(x, "phi")), pool(conv(x, "g"))
        y = np.empty((*x.shape[:3], values.shape[-1]))
        for place in np.ndindex(x.shape[:3]):
            scores = keys @ conv(x[place], "theta")
            weights = np.exp(scores - scores.max())
            y[place] = weights @ values / weights.sum()
        y = conv(y, "out.conv") - arrays["out.norm.mean"]
        y = y / np.sqrt(arrays["out.norm.var"] + 1e-5)
        y = y * arrays["out.norm.scale"] + arrays["out.norm.bias"]
        results.append(x + y)
    return np.stack(results)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("height", "width"), [(2, 2), (5, 4)]
)  # a last row is left out
def test_values(parts, height, width):
    block, clips = layer(), random_clips(2, 3, height, width, 6)
    y = jax.jit(lambda clips: block(in_parts(clips, parts)))(clips)
    assert (y.frames, y.parts) == (3, parts)
    np.testing.assert_allclose(y.clips(), expected(block, clips), rtol=1e-5, atol=1e-5)


def test_large_scores():
    """The exponential of a score of 100 is beyond float32."""
    block, clips = layer(), 30 * random_clips(2, 3, 2, 2, 6)
    y = jax.jit(lambda clips: block(in_parts(clips, 1)).clips())(clips)
    np.testing.assert_allclose(y, expected(block, clips), rtol=1e-4, atol=1e-3)


def test_bfloat16_computes_in_it_but_for_the_softmax():
    exact, rounded = layer(), layer(dtype=jnp.bfloat16)
    clips = random_clips(1, 3, 4, 4, 6).astype(jnp.bfloat16)
    y = jax.jit(rounded)(Frames.of(clips))
    assert y.data.dtype == jnp.bfloat16
    wanted = expected(exact, clips.astype(jnp.float32))
    error = np.abs(np.asarray(y.clips(), np.float64) - wanted).max()
    assert 1e-5 < error / np.abs(wanted).max() < 0.02
    jaxpr = jax.make_jaxpr(lambda x: rounded(x).data)(Frames.of(clips))
    exponentials = [e for e in jaxpr.eqns if e.primitive.name == "exp"]
    assert [e.outvars[0].aval.dtype for e in exponentials] == [jnp.float32]


@pytest.mark.slow
def test_a_new_block_changes_nothing():
    """And its convolutions are drawn as PyTorch draws them."""

    @jax.jit
    def make_and_call(x):
        block = NonLocal(64, rngs=nnx.Rngs(0))
        return block(x), named_arrays(block)

    x = Frames.of(random_clips(1, 2, 2, 2, 64))
    y, arrays = make_and_call(x)
    np.testing.assert_array_equal(y.data, x.data)
    for conv, fan_in in (("theta", 64), ("out.conv", 32)):
        for array in (arrays[f"{conv}.kernel"], arrays[f"{conv}.bias"]):
            bound = fan_in**-0.5
            assert 0.9 * bound < jnp.abs(array).max() <= bound
            assert array.min() < 0 < array.max()


def test_every_frame_of_its_clip_and_no_other_is_seen():
    block, clips = layer(), random_clips(2, 4, 2, 2, 6)
    run = jax.jit(lambda clips: block(Frames.of(clips)).clips())
    changed = run(clips) != run(clips.at[0, 1].add(1.0))
    assert changed.any((2, 3, 4)).tolist() == [[True] * 4, [False] * 4]


@pytest.mark.slow
def test_gradients_in_training():
    block = nnx.view(layer(), use_running_average=False)
    clips = random_clips(2, 3, 4, 4, 6)
    undone = ("phi.bias", "out.conv.bias")
    assert_learns(block, lambda m: m(in_parts(clips, 2)).data, undone=undone)


def test_frames_too_small_to_pool():
    with pytest.raises(ValueError, match="2x2 places, .* got 4x1"):
        layer()(Frames.of(random_clips(1, 2, 4, 1, 6)))


@pytest.mark.slow(but=("resnet34-tsn",))
@pytest.mark.parametrize(
    ("backbone", "temporal"),
    [
        ("resnet34", "tsn"),
        ("resnet34", "vsn"),
        ("resnet101", "tsm"),
    ],
)
def test_five_blocks_under_any_scheme(backbone, temporal):
    model = abstract(backbone, temporal, non_local=True)
    found = {path for path, m in nnx.iter_modules(model) if isinstance(m, NonLocal)}
    assert found == {("stages", *place, "after") for place in PLACES}
    clips = jax.ShapeDtypeStruct((1, 8, 64, 64, 3), jnp.float32)
    assert jax.eval_shape(lambda m, c: m(c), model, clips).shape == (1, 4)


def test_a_pooled_network_attends_to_the_frames_left():
    model = abstract("resnet34", "tsm", non_local=True, temporal_pool=True)
    clips = jax.ShapeDtypeStruct((2, 8, 64, 64, 3), jnp.float32)
    logits = jax.eval_shape(lambda m, c: m.frame_logits(c), model, clips)
    assert logits.shape == (2, 4, 4)


def test_a_network_without_all_five_is_refused():
    with pytest.raises(NoPlaceError) as error:
        abstract("resnet_tiny", "tsm", non_local=True)
    assert str(error.value) == (
        "resnet_tiny has no place for non_local in block 2 of stage 1, "
        "block 2 of stage 2, block 4 of stage 2"
    )


def test_a_causal_network_is_refused():
    with pytest.raises(ValueError, match="non_local reads later frames.*causal"):
        tiny(causal=True, non_local=True)
