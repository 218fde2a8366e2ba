"""The train step: accumulation, averages, dropout keys, fingerprints, sharding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh

from tests.support.networks import resnet
from tests.support.train_steps import TrainRun, noise
from vidshift.config import OptimConfig
from vidshift.devices import mesh
from vidshift.layers.norm import freeze
from vidshift.nets.weights import named_arrays
from vidshift.tasks.losses import cross_entropy
from vidshift.training.state import clips_fingerprint, params_sha256


def batch(clips: int = 16) -> dict[str, np.ndarray]:
    return noise(clips, 2, 4)


def begin(*, norms="none", dropout=0.0, lr=0.1, **optim) -> TrainRun:
    """Begins to train a stem and a head on what `batch` gives."""

    def make():
        model = resnet((), dropout=dropout)
        freeze(model, norms)
        return model

    return TrainRun(make, OptimConfig(**optim), lr=lr)


def copied(tree):
    return jax.tree.map(np.array, tree)


def assert_trees_close(found, wanted, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, wanted
    )


@pytest.mark.slow
def test_a_step_is_the_gradient_of_the_mean_loss():
    run = begin(momentum=0.0, weight_decay=0.0, clip_norm=None, label_smoothing=0.1)
    before, stats, rows = copied(run.state.params), run.state.stats, batch()

    def loss(params):
        logits = run.skeleton.merge(params, stats)(jnp.asarray(rows["video"]))
        targets = 0.9 * jax.nn.one_hot(rows["label"], 4) + 0.1 / 4
        return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean(), logits

    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, logits), grads = gradient(before)
    right = (logits.argmax(-1) == rows["label"]).mean()
    state, metrics = run.step(run.state, rows)
    wanted = {name: before[name] - 0.1 * grads[name] for name in before}
    assert_trees_close(state.params, wanted, rtol=1e-5, atol=1e-6)
    assert float(metrics["loss"]) == pytest.approx(float(value), rel=1e-5)
    assert float(metrics["top1"]) == pytest.approx(float(right))
    norm = np.sqrt(sum(float((g**2).sum()) for g in grads.values()))
    assert float(metrics["grad_norm"]) == pytest.approx(norm, rel=1e-5)
    assert float(metrics["lr"]) == pytest.approx(0.1)
    assert int(state.step) == 1 and not bool(metrics["stop"])


def test_any_row_may_ask_to_stop_and_the_state_is_donated():
    run, rows = begin(), batch()
    rows["stop"][5] = True
    assert bool(run.step(run.state, rows)[1]["stop"])
    assert all(array.is_deleted() for array in run.state.params.values())


@functools.partial(jax.jit, static_argnums=0)
def statistics_after(run, params, stats, video):
    model = run.skeleton.merge(params, stats)
    model(video)
    return named_arrays(model, nnx.BatchStat)


@pytest.mark.slow
def test_accumulation_changes_nothing_but_batch_statistics():
    whole, parts = begin(norms="all"), begin(norms="all", accumulate=2)
    a, metrics_a = whole.step(whole.state, batch())
    b, metrics_b = parts.step(parts.state, batch())
    assert_trees_close(b.params, a.params, rtol=1e-5, atol=1e-6)
    assert_trees_close(metrics_b, metrics_a, rtol=1e-5)


def test_each_part_moves_the_statistics():
    run, rows = begin(accumulate=2), batch()
    params, stats = copied((run.state.params, run.state.stats))
    for part in (slice(0, None, 2), slice(1, None, 2)):
        stats = statistics_after(run, params, stats, rows["video"][part])
    found = run.step(run.state, rows)[0].stats
    assert_trees_close(found, stats, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("platform", "loops"), [("cpu", 0), ("tpu", 1), ("cuda", 1)])
def test_parts_are_in_a_loop_but_on_a_cpu(platform, loops):
    """A CPU's convolutions are slow in a loop; others spare memory by it."""

    def count(accumulate):
        run = begin(accumulate=accumulate)
        traced = run.step.trace(run.state, batch())
        program = traced.lower(lowering_platforms=(platform,))
        return program.as_text().count("stablehlo.while")

    assert count(2) - count(1) == loops


def test_moving_average():
    run = begin(ema=0.75)
    start = copied(run.state.ema)
    assert set(start) == set(run.state.params) | set(run.state.stats)
    state, _ = run.step(run.state, batch())
    now = copied(state.params | state.stats)
    wanted = {name: 0.75 * start[name] + 0.25 * now[name] for name in start}
    assert_trees_close(state.ema, wanted, rtol=1e-6, atol=1e-7)
    params, stats = state.evaluated()
    assert_trees_close(params | stats, wanted, rtol=1e-6, atol=1e-7)
    assert set(params) == set(state.params)


def test_without_an_average_the_weights_are_evaluated():
    state = begin().state
    assert state.ema == {} and state.evaluated() == (state.params, state.stats)


def test_fingerprint_depends_on_the_clips_and_their_order():
    clips = jnp.asarray(batch(8)["fingerprint"])
    found = clips_fingerprint(clips)
    assert found.shape == (2,) and found.dtype == jnp.uint32
    # Row i counts 2 i + 1 times, modulo 2**32.
    wanted = sum((2 * i + 1) * int(clips[i, 0]) for i in range(8)) % 2**32
    assert int(found[0]) == wanted
    assert (
        found != clips_fingerprint(clips[jnp.array([1, 0, 2, 3, 4, 5, 6, 7])])
    ).all()
    assert (found != clips_fingerprint(clips.at[7].add(1))).all()


@pytest.mark.slow
def test_dropout_depends_on_the_seed_and_step_alone():
    def losses():
        run = begin(norms="all", dropout=0.5, lr=0.0)  # nothing else changes the loss
        state, found = run.state, []
        for _ in range(3):
            state, metrics = run.step(state, batch())
            found.append(float(metrics["loss"]))
        return found

    first = losses()
    assert len(set(first)) == 3
    assert losses() == first


@pytest.mark.slow
def test_parts_have_their_own_dropout():
    run = begin(norms="all", dropout=0.5, lr=0.0, accumulate=2)
    half = batch(8)
    # Each clip twice, so that both parts hold the same clips.
    twice = {name: np.repeat(array, 2, axis=0) for name, array in half.items()}
    one = begin(norms="all", dropout=0.5, lr=0.0)
    together = float(run.step(run.state, twice)[1]["loss"])
    key = jax.random.fold_in(jax.random.key(3), 0)

    @jax.jit
    def loss(part):
        model = one.skeleton.merge(one.state.params, one.state.stats)
        logits = model(half["video"], rngs=jax.random.fold_in(key, part))
        return cross_entropy(logits, half["label"], label_smoothing=0.0)

    half = {name: jnp.asarray(array) for name, array in half.items()}
    alone = [float(loss(part)) for part in range(2)]
    assert alone[0] != alone[1]
    assert together == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_hash_of_the_parameters():
    params = {"a": np.arange(6, dtype=np.float32), "b": np.ones(3, np.float32)}
    first = params_sha256(params)
    assert first == params_sha256(dict(reversed(params.items())))
    assert first == params_sha256({k: jnp.asarray(v) for k, v in params.items()})
    bit = params["a"].copy()
    bit.view(np.uint32)[3] ^= 1
    for other in (
        {"a": bit, "b": params["b"]},
        {"a": params["a"].reshape(2, 3), "b": params["b"]},
        {"a": params["a"], "c": params["b"]},
        {"a": params["a"].view(np.int32), "b": params["b"]},
    ):
        assert params_sha256(other) != first


@pytest.mark.slow(but=("2",))
@pytest.mark.parametrize("accumulate", [1, 2])
def test_eight_devices_compute_what_one_does(devices, accumulate):
    found = []
    for where in (Mesh(np.asarray(jax.devices()[:1]), ("data",)), devices):
        run = begin(accumulate=accumulate, ema=0.9, clip_norm=0.1)
        state, metrics = run.step(
            mesh.replicate(where, run.state), mesh.shard_batch(where, batch())
        )
        kernel = state.params["stem.conv.kernel"]
        assert len(kernel.sharding.device_set) == where.size
        assert kernel.sharding.is_fully_replicated
        found.append(copied((state, metrics)))
    one, eight = found
    np.testing.assert_array_equal(one[1]["clips"], eight[1]["clips"])
    assert_trees_close(eight, one, rtol=1e-5, atol=1e-6)
