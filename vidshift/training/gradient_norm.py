"""The L2 norm of a whole gradient, and clipping by it."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from vidshift.nets.weights import Arrays


def gradient_norm(gradients: Arrays) -> Float[Array, ""]:
    """Returns the L2 norm of all arrays together.

    Squares are summed within each array down to its last axis, then all of what is left in
    one sum. A sum to one number for each array would be two small kernels each on a GPU.
    """
    sums = [(g * g).sum(tuple(range(g.ndim - 1))) for g in jax.tree.leaves(gradients)]
    sums = jnp.concatenate([jnp.atleast_1d(s) for s in sums])
    # XLA would sum each part alone again.
    return jnp.sqrt(jax.lax.optimization_barrier(sums).sum())


def clip_by_norm(largest: float) -> optax.GradientTransformation:
    """Scales gradients down to an L2 norm of `largest`, all arrays together.

    The factor is `min(1, largest / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_` has it.
    """

    def clip(gradients, params):
        del params
        norm = gradient_norm(gradients)
        factor = jnp.minimum(1.0, largest / (norm + 1e-6))
        return jax.tree.map(lambda g: g * factor, gradients)

    return optax.stateless(clip)
