"""Spatial-temporal distillation: sub-networks learn what the full network answers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def distillation(
    teacher: Float[Array, "B classes"],
    student: Float[Array, "B classes"],
    *,
    temperature: float = 1.0,
) -> Float[Array, ""]:
    """`KL(softmax(teacher / t) || softmax(student / t)) t²`, the mean over clips.

    The second term of A3D's equation 3, for one sub-network. The paper leaves open the
    reduction and whether gradients reach the teacher; MutualNet's code takes the mean
    over the batch, a temperature of 1, and lets none through. The t² keeps the gradient's
    size (Hinton et al., 2015).

    Args:
      teacher: logits of the full network; no gradient reaches them.
      student: logits of a sub-network.
      temperature: t, of both.
    """
    teacher = jax.lax.stop_gradient(teacher)
    wanted = jax.nn.log_softmax(teacher / temperature)
    found = jax.nn.log_softmax(student / temperature)
    divergence = (jnp.exp(wanted) * (wanted - found)).sum(-1).mean()
    return divergence * temperature**2
