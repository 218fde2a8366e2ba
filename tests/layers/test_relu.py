"""The ReLU against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.layers.relu import relu


def test_is_jaxs_in_value_and_gradient():
    x = jnp.array([-2.0, -0.0, 0.0, 1e-30, 3.0, jnp.inf])
    for function in (lambda f: f, lambda f: jax.grad(lambda x: (f(x) * 3).sum())):
        np.testing.assert_array_equal(function(relu)(x), function(jax.nn.relu)(x))


def test_keeps_its_result_alone():
    _, pull = jax.vjp(relu, jnp.arange(-2.0, 3.0))
    kept = [a for a in jax.tree.leaves(pull) if getattr(a, "shape", None) == (5,)]
    np.testing.assert_array_equal(kept, [[0, 0, 0, 1, 2]])


def test_xla_cannot_read_x_again():
    """Without a barrier a GPU's program adds a residual block's sum up twice."""
    gradient = jax.jit(jax.grad(lambda x: relu(x).sum()))
    lowered = gradient.trace(jnp.ones(3)).lower(lowering_platforms=("cuda",))
    assert "optimization_barrier" in lowered.as_text()
