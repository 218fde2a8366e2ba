"""A linear probe: multinomial logistic regression on standardised features."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Int64

# Strengths of the L2 penalty that the validation chooses from.
STRENGTHS = tuple(10.0**power for power in range(1, -7, -1))
# Of L-BFGS, for each strength.
MOST_STEPS = 200
# Largest entry of the gradient at which it ends.
TOLERANCE = 1e-5


class Probed(NamedTuple):
    """Predictions of the best probe, and how it was chosen."""

    predictions: Int64[np.ndarray, " M"]
    strength: float
    validation_accuracy: float


def probe(
    train: tuple[Float[np.ndarray, "N C"], Int[np.ndarray, " N"]],
    validation: tuple[Float[np.ndarray, "V C"], Int[np.ndarray, " V"]],
    test: Float[np.ndarray, "M C"],
    *,
    classes: int,
) -> Probed:
    """Fits a probe for each of STRENGTHS, the strongest first, and takes the best.

    The best has the highest accuracy on the validation clips, and of equals the stronger
    penalty. Features are standardised by the training clips' means and deviations.
    """
    features, labels = train
    mean, deviation = features.mean(0), features.std(0)
    # A feature that is the same everywhere says nothing.
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
    standard = lambda rows: jnp.asarray((rows - mean) * scale, jnp.float32)
    shown, held_out = standard(features), standard(validation[0])
    weights = {
        "kernel": jnp.zeros((features.shape[1], classes)),
        "bias": jnp.zeros(classes),
    }
    best: tuple[float, float, dict] | None = None
    for strength in STRENGTHS:
        weights = fit(weights, shown, jnp.asarray(labels), strength)
        right = _predicted(weights, held_out) == validation[1]
        if best is None or right.mean() > best[0]:
            best = float(right.mean()), strength, weights
    accuracy, strength, weights = best
    return Probed(_predicted(weights, standard(test)), strength, accuracy)


def _predicted(weights: dict, features: Float[Array, "M C"]) -> np.ndarray:
    return np.asarray(_logits(weights, features).argmax(1)).astype(np.int64)


def _logits(weights: dict, features: Float[Array, "M C"]) -> Float[Array, "M K"]:
    return features @ weights["kernel"] + weights["bias"][None]


@functools.partial(jax.jit, static_argnames="most_steps")
def fit(
    weights: dict,
    features: Float[Array, "N C"],
    labels: Int[Array, " N"],
    strength: float | Float[Array, ""],
    *,
    most_steps: int = MOST_STEPS,
) -> dict:
    """Minimises `mean cross entropy + strength / 2 * |kernel|^2` by L-BFGS.

    Args:
      weights: `kernel` [C, K] and `bias` [K] to begin with.
    """

    def loss(weights):
        logits = _logits(weights, features)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean() + strength / 2 * (weights["kernel"] ** 2).sum()

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry):
        weights, state, _, steps = carry
        value, grad = value_and_grad(weights, state=state)
        updates, state = solver.update(
            grad, state, weights, value=value, grad=grad, value_fn=loss
        )
        size = optax.tree.norm(grad, ord=jnp.inf)
        return optax.apply_updates(weights, updates), state, size, steps + 1

    def goes_on(carry):
        _, _, size, steps = carry
        return (steps < most_steps) & (size > TOLERANCE)

    begin = (weights, solver.init(weights), jnp.float32(jnp.inf), 0)
    return jax.lax.while_loop(goes_on, step, begin)[0]
