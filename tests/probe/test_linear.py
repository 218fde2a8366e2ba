"""The linear probe."""

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.probe import linear
from vidshift.probe.linear import fit, probe


def clusters(number, *, seed, noise=1.0, channels=6):
    """Features of three classes; every second channel says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, number)
    centres = 3 * np.eye(3, channels)
    features = centres[labels] + noise * rng.normal(size=(number, channels))
    # Of other sizes, which standardising undoes; one is the same everywhere.
    features = features * 10.0 ** np.arange(-2, channels - 2) + 5
    features[:, -1] = 7
    return features.astype(np.float32), labels


def test_a_fit_is_a_minimum():
    features, labels = clusters(60, seed=0)
    features = jnp.asarray((features - features.mean(0)) / (features.std(0) + 1e-6))
    begin = {"kernel": jnp.zeros((6, 3)), "bias": jnp.zeros(3)}
    weights = fit(begin, features, jnp.asarray(labels), 0.1)

    def loss(weights):
        logits = features @ weights["kernel"] + weights["bias"][None]
        chosen = jax.nn.log_softmax(logits)[jnp.arange(60), labels]
        return -chosen.mean() + 0.05 * (weights["kernel"] ** 2).sum()

    gradients = jax.grad(loss)(weights)
    assert max(np.abs(g).max() for g in jax.tree.leaves(gradients)) < 2e-5
    assert float(loss(weights)) < float(loss(begin)) - 0.3


def test_a_probe_tells_classes_and_is_the_same_each_time():
    train, validation, test = (clusters(n, seed=n) for n in (90, 60, 120))
    found = probe(train, validation, test[0], classes=3)
    assert (found.predictions == test[1]).mean() > 0.9
    assert found.validation_accuracy > 0.9
    again = probe(train, validation, test[0], classes=3)
    assert (
        np.array_equal(found.predictions, again.predictions) and found[1:] == again[1:]
    )


def test_validation_chooses_the_strength_and_of_equals_the_stronger(monkeypatch):
    train, validation, test = (clusters(n, seed=n) for n in (30, 60, 20))
    labels = {10.0: 0, 1.0: 1, 0.1: 1}
    monkeypatch.setattr(linear, "STRENGTHS", tuple(labels))
    monkeypatch.setattr(
        linear, "fit", lambda weights, features, targets, strength: strength
    )
    monkeypatch.setattr(
        linear,
        "_predicted",
        lambda strength, rows: np.full(len(rows), labels[strength]),
    )
    ones = (validation[0], np.ones(60, int))
    assert probe(train, ones, test[0], classes=3).strength == 1.0
    zeros = (validation[0], np.zeros(60, int))
    assert probe(train, zeros, test[0], classes=3).strength == 10.0
