"""Temperature, budget and what the train step says of a network with attention."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.train_steps import TrainRun, noise
from vidshift import create
from vidshift.config import AttentionConfig, OptimConfig
from vidshift.shifts.attention import shifted_shares, with_temperature
from vidshift.training.attention import budget_loss, temperature


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


def batch(seed=5) -> dict[str, np.ndarray]:
    return noise(4, 2, 8, seed=seed)


def begin(*, causal=False, **optim) -> TrainRun:
    """Begins to train a small network with attention, for 5 steps."""
    config = OptimConfig(**optim)
    options = {"variant": "attention", "causal": causal}
    return TrainRun(
        lambda: create("rubiksnet_micro", num_classes=4, num_frames=2, **options),
        config,
        temperature=temperature(config.attention, steps=5, steps_per_epoch=5),
    )


def temperatures(arrays) -> list[float]:
    return [float(a) for n, a in arrays.items() if n.endswith("attention.temperature")]


@pytest.mark.slow
def test_a_new_temperature_each_step_compiles_nothing():
    run, found = begin(ema=0.9), []
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
@pytest.mark.exhaustive(but=("2-False", "1-True"))
@pytest.mark.parametrize(("accumulate", "causal"), [(1, False), (2, False), (1, True)])
def test_the_budget_is_part_of_the_loss_and_its_gradient(accumulate, causal):
    losses, moved = {}, {}
    for weight in (0.0, 10.0):
        run = begin(
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
