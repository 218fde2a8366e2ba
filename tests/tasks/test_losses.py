"""Losses and the share that is right, by hand: of one label a clip, and of several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.config import Config, ModelConfig, OptimConfig
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL
from vidshift.tasks.losses import binary_cross_entropy, cross_entropy


def test_cross_entropy_with_smoothing():
    logits = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    labels = np.array([1, 0])
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    own = logs[[0, 1], labels]
    for smoothing in (0.0, 0.3):
        wanted = -((1 - smoothing) * own + smoothing * logs.mean(1)).mean()
        found = cross_entropy(
            jnp.asarray(logits), jnp.asarray(labels), label_smoothing=smoothing
        )
        assert float(found) == pytest.approx(wanted, rel=1e-6)


# Sigmoids 1/2, 3/4, 1/4 and 1/2, 1/2, 9/10.
LOGITS = jnp.array([[0.0, np.log(3), -np.log(3)], [0.0, 0.0, np.log(9)]])
LABELS = jnp.array([[1, 1, 0], [0, 0, 0]], jnp.uint8)


def test_binary_cross_entropy_is_the_mean_over_clips_and_classes():
    loss, gradient = jax.value_and_grad(binary_cross_entropy)(LOGITS, LABELS)
    chances = np.array([1 / 2, 3 / 4, 3 / 4, 1 / 2, 1 / 2, 1 / 10])  # of what is true
    assert float(loss) == pytest.approx(-np.log(chances).sum() / 6, rel=1e-6)
    # The sigmoid less the label, over the six.
    wanted = np.array([[-1 / 2, -1 / 4, 1 / 4], [1 / 2, 1 / 2, 9 / 10]]) / 6
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_large_logits_have_a_finite_loss():
    logits = jnp.array([[200.0, -200.0]])
    right, wrong = (jnp.array([row], jnp.uint8) for row in ((1, 0), (0, 1)))
    assert float(binary_cross_entropy(logits, right)) == 0
    assert float(binary_cross_entropy(logits, wrong)) == 200


def test_the_kind_of_label_says_which_loss():
    several, right = MULTI_LABEL.loss(LOGITS, LABELS, label_smoothing=0.0)
    assert float(several) == float(binary_cross_entropy(LOGITS, LABELS))
    assert float(right) == 0.5  # a clip without labels is never right
    both = jnp.array([[1, 1, 0], [1, 0, 1]], jnp.uint8)
    assert float(MULTI_LABEL.loss(LOGITS, both, label_smoothing=0.0)[1]) == 1
    one = jnp.array([1, 0])
    loss, right = SINGLE_LABEL.loss(LOGITS, one, label_smoothing=0.1)
    assert float(loss) == float(cross_entropy(LOGITS, one, label_smoothing=0.1))
    assert float(right) == 0.5


@pytest.mark.parametrize(
    "config, field",
    [
        (Config(optim=OptimConfig(label_smoothing=0.1)), "optim.label_smoothing=0.1"),
        (Config(model=ModelConfig(head_size=224)), "model.head_size=224"),
    ],
)
def test_what_is_for_one_label_is_refused(config, field):
    MULTI_LABEL.check(Config())
    with pytest.raises(ValueError, match=rf"config\.{field} .*have several"):
        MULTI_LABEL.check(config)
