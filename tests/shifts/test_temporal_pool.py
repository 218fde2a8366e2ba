"""Pooling over time: values, what comes after it, and official names."""

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
    tiny,
)
from tests.torch_weights.test_load import state_dict
from vidshift import load_torch
from vidshift.kernels import Frames
from vidshift.shifts.temporal import TemporalShift
from vidshift.shifts.temporal_pool import TemporalPool


def pooled(clips) -> np.ndarray:
    clips = np.asarray(clips)
    frames = clips.shape[1]
    windows = [
        clips[:, max(t - 1, 0) : min(t + 2, frames)].max(1) for t in range(0, frames, 2)
    ]
    return np.stack(windows, 1)


@pytest.mark.parametrize(
    ("frames", "left", "parts", "dtype"),
    [
        (1, 1, 1, "float32"),
        (2, 1, 1, "float32"),
        (5, 3, 1, "float32"),
        (8, 4, 2, "float32"),
        (5, 3, 2, "bfloat16"),
    ],
)
def test_values_are_those_of_a_loop(frames, left, parts, dtype):
    clips = random_clips(4, frames, 2, 3, 5).astype(dtype) - 9  # zeros would be larger
    y = jax.jit(lambda clips: TemporalPool()(in_parts(clips, parts)))(clips)
    assert (y.frames, y.parts, y.data.dtype) == (left, parts, dtype)
    np.testing.assert_array_equal(y.clips(), pooled(clips))


def test_gradient_goes_to_the_largest():
    x = jnp.array([1.0, 3.0, 2.0, 0.0, -1.0]).reshape(1, 5, 1, 1, 1)
    gradient = jax.grad(lambda x: TemporalPool()(Frames.of(x)).data.sum())(x)
    assert gradient.ravel().tolist() == [0, 2, 0, 1, 0]


@pytest.mark.slow(but=("4-*",))
@pytest.mark.parametrize(("frames", "options"), [(4, {}), (5, {"placement": "block"})])
def test_a_network_after_it_works_on_the_frames_left(frames, options):
    """The same layers, with the pooling done by hand in between."""
    model, plain = tiny(temporal_pool=True, **options), tiny(**options)

    (before,), *rest = plain.stages

    @jax.jit
    def to_the_pooling(clips):
        return before(plain.stem(Frames.of(clips))).clips()

    @jax.jit
    def from_the_pooling(clips):
        x = Frames.of(clips)
        for (block,) in rest:
            x = block(x)
        return plain.fc(x.clip_vectors(x.data.mean((0, 1))))

    clips = random_clips(2, frames, 4, 4, 3)
    found = jax.jit(model.frame_logits)(clips)
    assert found.shape == (2, (frames + 1) // 2, 4)
    by_hand = from_the_pooling(jnp.asarray(pooled(to_the_pooling(clips))))
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


def test_it_stands_before_the_second_stage_of_any_scheme():
    model = abstract("resnet_tiny", "gsf", ratio=0.5, temporal_pool=True)
    found = [p for p, m in nnx.iter_modules(model) if isinstance(m, TemporalPool)]
    assert found == [("stages", 1, 0, "before")]


def test_a_whole_blocks_shift_comes_after_it():
    before = tiny(temporal_pool=True, placement="block").stages[1][0].before
    assert [type(layer) for layer in before.layers] == [TemporalPool, TemporalShift]


@pytest.mark.slow
def test_gradients_in_training():
    """Of one block, which is to have half as many frames as clips come in."""
    block = nnx.view(tiny(temporal_pool=True).stages[1][0], use_running_average=False)
    clips = random_clips(4, 4, 2, 2, 16)
    assert_learns(block, lambda block: block(in_parts(clips, 2)).data)


def test_a_shuffle_after_it_is_refused():
    """Its weights belong to as many frames as the clip has; before it, it may be."""

    def shape(**options):
        model = abstract("resnet_tiny", "vsn", temporal_pool=True, **options)
        clips = jax.ShapeDtypeStruct((1, 8, 8, 8, 3), jnp.float32)
        return jax.eval_shape(lambda m, c: m.frame_logits(c), model, clips).shape

    message = "num_frames=8 frames, of which temporal_pool leaves half"
    with pytest.raises(ValueError, match=message):
        shape()
    assert shape(shuffle_stages=(0,)) == (1, 4, 4)


def test_a_causal_network_is_refused():
    with pytest.raises(ValueError, match="temporal_pool reads later frames.*causal"):
        tiny(causal=True, temporal_pool=True)


@pytest.mark.parametrize("placement", ["blockres", "block"])
def test_official_names(placement):
    """`layer2` is wrapped as a whole."""
    given = state_dict()
    if placement == "block":
        wrapped = {}
        for name, array in given.items():
            name = name.replace(".net.", ".")
            for layer in ("layer1", "layer2", "layer3"):
                name = name.replace(f"{layer}.0.", f"{layer}.0.net.")
            wrapped[name] = array
        given = wrapped
    given = {k.replace(".layer2.", ".layer2.net."): v for k, v in given.items()}
    model = tiny(temporal_pool=True, placement=placement)
    load_torch(model, given)
    (name,) = (k for k in given if "layer2" in k and "conv1" in k)
    assert (
        name
        == {
            "blockres": "base_model.layer2.net.0.conv1.net.weight",
            "block": "base_model.layer2.net.0.net.conv1.weight",
        }[placement]
    )
    kernel = model.stages[1][0].units[0].conv.kernel[...]
    np.testing.assert_array_equal(kernel, given[name].transpose(2, 3, 1, 0))
    with pytest.raises(ValueError, match="missing: base_model.layer2.0."):
        load_torch(tiny(placement=placement), given)
