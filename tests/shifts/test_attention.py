"""RubiksNet's attention over frames against NumPy, and what hardening makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import random_clips, random_network
from vidshift import create
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts.attention import (
    AttentionShift,
    Temperature,
    WholeShift,
    attention_layers,
    harden,
    shifted_shares,
    undecided,
    with_temperature,
)


def layer(channels=6, **options) -> AttentionShift:
    return AttentionShift(channels, rngs=nnx.Rngs(0), **options)


def shifted(module, clips, *weight):
    return jax.jit(lambda m, c, *w: m(c, *w))(module, clips, *weight)


def by_loop(clips, weight, temperature, causal=False) -> np.ndarray:
    """Frame by frame, channel by channel and tap by tap, in float64."""
    clips, weight = np.asarray(clips, np.float64), np.asarray(weight, np.float64)
    frames, (channels, taps) = clips.shape[1], weight.shape
    y = np.zeros_like(clips)
    for c in range(channels):
        mean = weight[c].sum() / taps
        spread = np.sqrt(((weight[c] - mean) ** 2).sum() / (taps - 1))
        e = np.exp(weight[c] / (spread + 1e-6) / temperature)
        for t in range(frames):
            for tap in range(taps):
                source = t + tap - (taps - 1 if causal else taps // 2)
                if 0 <= source < frames:
                    y[:, t, ..., c] += e[tap] / e.sum() * clips[:, source, ..., c]
    return y


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("taps", "frames"), [(3, 4), (3, 1), (7, 2)])
def test_attention_is_a_loop_over_taps(taps, frames, causal):
    module = layer(taps=taps, init="code", temperature=0.5, causal=causal)
    clips = random_clips(2, frames, 3, 2, 6)
    expected = by_loop(clips, module.weight[...], 0.5, causal)
    np.testing.assert_allclose(shifted(module, clips), expected, atol=1e-5)


def test_attention_starts_as_the_paper_has_it():
    module = layer(2000)
    weight = np.asarray(module.weight[...])
    assert weight.shape == (2000, 3) and 1 <= weight.min() < weight.max() <= 1.05
    assert module.temperature[...] == 2.0
    share = np.asarray(module.attention())
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-6)
    # The mean of the largest share, whatever the bounds of the draw.
    assert abs(share.max(1).mean() - 0.496) < 0.01
    as_in_code = layer(2000, init="code")
    assert np.asarray(as_in_code.weight[...]).min() < 0.01
    assert abs(np.asarray(as_in_code.attention()).max(1).mean() - 0.496) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_learns_and_its_temperature_does_not(dtype):
    module = layer()
    clips = random_clips(2, 4, 3, 2, 6).astype(dtype)
    assert shifted(module, clips).dtype == dtype
    assert set(named_arrays(module, nnx.Param)) == {"weight"}
    assert set(named_arrays(module, nnx.BatchStat)) == {"temperature"}
    assert isinstance(module.temperature, Temperature)
    graphdef, weight, temperature = nnx.split(module, nnx.Param, ...)

    def loss(weight):
        y = nnx.merge(graphdef, weight, nnx.as_pure(temperature))(clips)
        return (y.astype(jnp.float32) ** 2).sum()

    gradient = np.asarray(jax.jit(jax.grad(loss))(nnx.as_pure(weight))["weight"])
    assert np.isfinite(gradient).all() and (gradient != 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layer(taps=1), "taps must be an odd number from 3, got 1"),
        (lambda: WholeShift(6, taps=2), "taps must be an odd number from 3, got 2"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------ hardening
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("taps", "frames"), [(3, 4), (7, 2), (3, 1)])
def test_whole_frames_are_moved_bit_for_bit(taps, frames, causal):
    module = WholeShift(taps, taps=taps, causal=causal)
    clips = random_clips(2, frames, 3, 2, taps)
    clips = clips.at[0, 0, 0, 0].set(jnp.inf)  # 0 x inf would show
    distances = np.arange(taps) - (taps - 1 if causal else taps // 2)
    module.distance[...] = jnp.asarray(distances, jnp.int32)
    expected = np.zeros_like(clips)
    for c, d in enumerate(distances):
        for t in range(frames):
            if 0 <= t + d < frames:
                expected[:, t, ..., c] = clips[:, t + d, ..., c]
    np.testing.assert_array_equal(shifted(module, clips), expected)


def test_the_product_after_whole_shifts():
    module, clips = WholeShift(3), random_clips(2, 4, 3, 2, 3)
    module.distance[...] = jnp.asarray([-1, 1, 0], jnp.int32)
    weight = random_clips(3, 7)
    apart = jnp.einsum("...c,ck->...k", shifted(module, clips), weight)
    np.testing.assert_allclose(shifted(module, clips, weight), apart, atol=1e-5)


def network(**options) -> nnx.Module:
    """`rubiksnet_micro` with attention; three layers of 27, 27 and 54 channels."""
    options = {"num_classes": 4, "num_frames": 4, "variant": "attention"} | options
    return random_network(lambda: create("rubiksnet_micro", **options))


def arrays(model):
    return named_arrays(model, nnx.Param), named_arrays(model, nnx.BatchStat)


def decided(params, *, of=0.1):
    """The same with the largest tap's weight far above the others'."""
    rng = np.random.default_rng(3)
    rows = {k: a.shape[0] for k, a in params.items() if k.endswith("attention.weight")}
    return params | {
        name: jnp.asarray(rng.permuted(np.tile([0.0, of, 1.0], (n, 1)), axis=1))
        for name, n in rows.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cold_and_hardened_networks_agree(dtype, causal):
    soft = network(dtype=dtype, causal=causal)
    params, stats = arrays(soft)
    params, stats = decided(params), with_temperature(stats, 1e-3)
    hard = nnx.eval_shape(
        lambda: create(
            "rubiksnet_micro",
            num_classes=4,
            num_frames=4,
            dtype=dtype,
            variant="attention",
            hardened=True,
            causal=causal,
        )
    )
    skeleton, hard_params, hard_stats = split(hard)
    found_params, found_stats = harden(params, stats, causal=causal)
    assert found_params.keys() == hard_params.keys()
    assert found_stats.keys() == hard_stats.keys()
    distances = {n: a for n, a in found_stats.items() if n.endswith(".distance")}
    assert len(distances) == 3
    for name, array in distances.items():
        assert array.dtype == hard_stats[name].dtype == jnp.int32
        wanted = {-2, -1, 0} if causal else {-1, 0, 1}
        assert set(np.asarray(array).tolist()) == wanted
    clips = random_clips(2, 4, 16, 16, 3)
    run = jax.jit(lambda model, clips: model(clips))
    soft_skeleton, _, _ = split(soft)
    wanted = run(soft_skeleton.merge(params, stats), clips)
    found = run(skeleton.merge(found_params, found_stats), clips)
    tolerance = {"float32": 1e-5, "bfloat16": 0.05}[dtype]
    np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=tolerance)
    assert sum(undecided(params, stats).values()) == 0
    # Warm, the attention is another network.
    warm = run(soft_skeleton.merge(params, with_temperature(stats, 2.0)), clips)
    assert not np.allclose(warm, wanted, atol=0.01)


def test_a_hardened_network_multiplies_by_no_attention():
    model = nnx.eval_shape(
        lambda: create(
            "rubiksnet_micro",
            num_classes=4,
            num_frames=4,
            variant="attention",
            hardened=True,
            taps=5,
        )
    )
    assert attention_layers(model) == []
    assert not any("attention" in name for name in named_arrays(model, nnx.Param))
    layers = [block.attention for (block,) in model.stages]
    assert [list(layer.distances) for layer in layers] == [[-2, -1, 0, 1, 2]] * 3


def test_undecided_channels_are_counted_by_layer():
    params, stats = arrays(network())
    params, stats = decided(params), with_temperature(stats, 1e-3)
    name = "stages.1.0.attention.weight"
    # Two channels between two taps, and one on which all three agree.
    tied = jnp.asarray([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    params[name] = params[name].at[:3].set(tied)
    counts = {
        n.removesuffix(".attention"): c for n, c in undecided(params, stats).items()
    }
    assert counts == {"stages.0.0": 0, "stages.1.0": 3, "stages.2.0": 0}
    hot = undecided(params, with_temperature(stats, 2.0))
    assert list(hot.values()) == [27, 27, 54]


@pytest.mark.parametrize("causal", [False, True])
def test_shares_that_move_by_layer(causal):
    model = network(causal=causal)
    here = 2 if causal else 1
    weight = np.tile(np.eye(3, dtype=np.float32)[here], (27, 1))
    weight[:9] = [1.0, 0.0, 0.0]
    model.stages[0][0].attention.weight[...] = jnp.asarray(weight)
    for _, one in attention_layers(model):
        one.temperature[...] = jnp.float32(1e-2)
    names = [name for name, _ in attention_layers(model)]
    assert names == [f"stages.{i}.0.attention" for i in range(3)]
    soft, hard = shifted_shares(model)
    assert soft.shape == hard.shape == (3,)
    np.testing.assert_allclose([soft[0], hard[0]], 9 / 27, atol=1e-5)
    last = np.asarray(model.stages[2][0].attention.weight[...])
    assert hard[2] == pytest.approx((last.argmax(1) != here).mean())
