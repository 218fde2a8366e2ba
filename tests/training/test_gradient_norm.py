"""The norm of a whole gradient against optax, and what it clips."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidshift.training.gradient_norm import clip_by_norm, gradient_norm

SHAPES = {
    "b.kernel": (3, 3, 4, 5),
    "a.scale": (7,),
    "c": (),
    "a.bias": (4,),
    "d": (2, 3),
}


def gradients() -> dict:
    rng = np.random.default_rng(0)
    return {k: jnp.asarray(rng.normal(size=s), jnp.float32) for k, s in SHAPES.items()}


def test_norm_is_that_of_all_arrays():
    np.testing.assert_allclose(
        gradient_norm(gradients()), optax.tree.norm(gradients()), rtol=1e-6
    )


@pytest.mark.parametrize("largest", [1.0, 1000.0])
def test_clipping_is_optaxs(largest):
    ours, theirs = (
        tx.update(gradients(), tx.init(gradients()))[0]
        for tx in (clip_by_norm(largest), optax.clip_by_global_norm(largest))
    )
    for name in SHAPES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)
        if largest == 1000.0:
            np.testing.assert_array_equal(ours[name], gradients()[name])


def test_masked_gradients_do_not_count():
    mask = {name: name != "d" for name in SHAPES}
    tx = optax.masked(clip_by_norm(1.0), mask)
    clipped, _ = tx.update(gradients(), tx.init(gradients()))
    np.testing.assert_array_equal(clipped["d"], gradients()["d"])
    rest = {name: g for name, g in clipped.items() if name != "d"}
    np.testing.assert_allclose(gradient_norm(rest), 1.0, rtol=1e-6)
