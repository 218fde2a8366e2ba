"""Temperature, budget and what the train step says of a network with attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.networks import random_network
from vidshift import create, train_view
from vidshift.config import AttentionConfig, OptimConfig
from vidshift.nets.weights import split
from vidshift.shifts.attention import shifted_shares, with_temperature
from vidshift.training.attention import budget_loss, temperature
from vidshift.training.optimizer import make_optimizer, parameter_kinds
from vidshift.training.state import make_train_step, new_state


def test_temperature_falls_exponentially_then_stays():
    at = temperature(AttentionConfig(), steps=101, steps_per_epoch=10)
    found = [float(at(jnp.int32(step))) for step in (0, 25, 50, 100, 101, 500)]
    # 2 x 5e-4^(e / 40), section 4.1: a quarter of the way each.
    wanted = [2.0 * 5e-4**done for done in (0, 0.25, 0.5, 1, 1, 1)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_temperature_may_take_fewer_epochs_than_the_run():
    config = AttentionConfig(
        temperature_start=1.0, temperature_end=0.01, anneal_epochs=2.1
    )
    at = temperature(config, steps=1000, steps_per_epoch=10)
    found = [float(at(step)) for step in (0, 10, 20, 21, 999)]
    np.testing.assert_allclose(found, [1, 0.1, 0.01, 0.01, 0.01], rtol=1e-5)


def test_budget_is_the_mean_over_layers():
    shares = jnp.asarray([0.1, 0.2, 0.6])  # 0.3
    loss = lambda **fields: float(budget_loss(AttentionConfig(**fields), shares))
    assert loss() == 0.0
    assert loss(budget=0.25) == pytest.approx(0.05)
    assert loss(budget=0.35) == pytest.approx(0.05)
    assert loss(budget=0.1, budget_weight=3.0) == pytest.approx(0.6)
    assert loss(budget=0.1, budget_norm="squared") == pytest.approx(0.04)
    with pytest.raises(ValueError, match="budget_norm 'l2'.*absolute, squared"):
        loss(budget=0.1, budget_norm="l2")


def batch(seed=5, clips=4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "video": rng.normal(size=(clips, 2, 8, 8, 3)).astype(np.float32),
        "label": rng.integers(0, 4, clips).astype(np.int32),
        "fingerprint": rng.integers(0, 2**32, (clips, 2), np.uint32),
        "stop": np.zeros(clips, bool),
    }


class Run:
    """A small network with attention, its steps compiled once a run."""

    def __init__(self, *, steps=5, taps=3, causal=False, **optim):
        config = OptimConfig(**optim)
        model = random_network(
            lambda: create(
                "rubiksnet_micro",
                num_classes=4,
                num_frames=2,
                variant="attention",
                taps=taps,
                causal=causal,
            )
        )
        kinds = parameter_kinds(model)
        tx = make_optimizer(config, kinds, lambda _: 0.1, steps_per_epoch=steps)
        self.skeleton, params, stats = split(train_view(model))
        self.state = new_state(params, stats, tx, ema=config.ema is not None)
        self.step = make_train_step(
            self.skeleton,
            tx,
            lambda step: 0.1,
            lambda rows: (rows["video"], rows["label"]),
            config,
            seed=3,
            temperature=temperature(
                config.attention, steps=steps, steps_per_epoch=steps
            ),
        )


def temperatures(arrays) -> list[float]:
    return [float(a) for n, a in arrays.items() if n.endswith("attention.temperature")]


@pytest.mark.slow
def test_a_new_temperature_each_step_compiles_nothing():
    run, found = Run(ema=0.9), []
    state = run.state
    for step in range(5):
        state, metrics = run.step(state, batch(step))
        found.append(float(metrics["temperature"]))
        assert temperatures(state.stats) == pytest.approx([found[-1]] * 3)
        assert temperatures(state.ema) == temperatures(state.stats)
    assert run.step._cache_size() == 1
    wanted = 2.0 * 5e-4 ** (np.arange(5) / 4)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive(
    but=(
        "2-False",
        "1-True",
    )
)
@pytest.mark.parametrize(("accumulate", "causal"), [(1, False), (2, False), (1, True)])
def test_the_budget_is_part_of_the_loss_and_its_gradient(accumulate, causal):
    losses, moved = {}, {}
    for weight in (0.0, 10.0):
        run = Run(
            accumulate=accumulate,
            causal=causal,
            momentum=0.0,
            attention=AttentionConfig(budget=0.0, budget_weight=weight),
        )
        at = with_temperature(run.state.stats, 2.0)
        soft, hard = shifted_shares(run.skeleton.merge(run.state.params, at))
        state, metrics = run.step(run.state, batch())
        np.testing.assert_allclose(metrics["attention_moved"], soft.mean(), rtol=1e-5)
        np.testing.assert_allclose(metrics["moved_channels"], hard, rtol=1e-5)
        losses[weight] = float(metrics["loss"])
        after = run.skeleton.merge(state.params, with_temperature(state.stats, 2.0))
        moved[weight] = float(shifted_shares(after)[0].mean())
    assert losses[10.0] - losses[0.0] == pytest.approx(
        10 * float(soft.mean()), rel=1e-4
    )
    assert moved[10.0] < moved[0.0]


@pytest.mark.slow
def test_taps_reach_the_train_step():
    run = Run(taps=5)
    shape = jax.eval_shape(run.step, run.state, batch())[1]["moved_channels"].shape
    assert shape == (3,)
    weight = run.state.params["stages.0.0.attention.weight"]
    assert weight.shape == (27, 5)
