"""Training of RubiksNet's attention over frames: its temperature and its budget."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from vidshift.config import AttentionConfig
from vidshift.nets.zoo import pick

# Of the difference between the share that moves and the budget (equation 8).
NORMS = {"absolute": jnp.abs, "squared": jnp.square}


def temperature(
    config: AttentionConfig, *, steps: int, steps_per_epoch: float
) -> optax.Schedule:
    """Returns the softmax' temperature by step: exponential, then constant.

    The first step has `temperature_start`, the last of `anneal_epochs` and all later
    ones `temperature_end`.
    """
    anneal_steps = steps
    if config.anneal_epochs is not None:
        anneal_steps = round(config.anneal_epochs * steps_per_epoch)
    ratio = config.temperature_end / config.temperature_start

    def at(step: jax.Array | int) -> jax.Array:
        done = jnp.clip(step / max(anneal_steps - 1, 1), 0, 1)
        return config.temperature_start * ratio**done

    return at


def budget_loss(
    config: AttentionConfig, shares: Float[Array, " layers"]
) -> Float[Array, ""]:
    """Computes equation 8 times its weight: `||mean over layers of shares - budget||`.

    Args:
      shares: the attention that other frames have, by layer (`shifted_shares`).

    Raises:
      ValueError: `budget_norm` is no name in `NORMS`.
    """
    norm = pick("optim.attention.budget_norm", config.budget_norm, NORMS)
    if config.budget is None:
        return jnp.float32(0)
    return config.budget_weight * norm(shares.mean() - config.budget)
