"""`max(x, 0)`, whose gradient is known from the result."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
    """Returns `max(x, 0)`; its gradient is that of `jax.nn.relu`, 0 at 0.

    The gradient reads the result, which the next layer keeps in any case. `jax.nn.relu`
    reads x: after a sum that is one more array to keep, or two to add again.
    """
    return jnp.maximum(x, 0)


def _forward(x):
    # XLA knows that the result is above 0 where x is, and would read x again.
    y = jax.lax.optimization_barrier(relu(x))
    return y, y


def _backward(y, dy):
    return (jnp.where(y > 0, dy, 0),)


relu.defvjp(_forward, _backward)
