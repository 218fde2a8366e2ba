"""Steps one after the other: a loop, but on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.devices.in_turn import in_turn

KERNEL = jnp.ones((64, 4, 3, 3)) / 100
CLIP = jnp.ones((4, 4, 32, 32))


def steps(clip):
    def step(total, number):
        """Convolves to a wide layer, which is what takes memory."""
        x = clip * number.astype(jnp.float32)
        x = jax.lax.conv(x, KERNEL, (1, 1), "SAME")
        mean = jnp.square(jax.nn.relu(x)).mean()
        return total + mean, mean

    return step


def run(count: int):
    return jax.jit(lambda clip: in_turn(steps(clip), jnp.float32(1), count))


def test_it_is_what_a_loop_gives():
    total, means = run(3)(CLIP)
    wanted, each = jax.lax.scan(steps(CLIP), jnp.float32(1), jnp.arange(3))
    np.testing.assert_allclose(means, each, rtol=1e-6)
    np.testing.assert_allclose(total, wanted, rtol=1e-6)
    assert means[0] == 0 and means[2] == pytest.approx(4 * means[1])


@pytest.mark.parametrize(("platform", "loops"), [("cpu", 0), ("tpu", 1), ("cuda", 1)])
def test_it_is_a_loop_but_on_a_cpu(platform, loops):
    program = run(3).trace(CLIP).lower(lowering_platforms=(platform,))
    assert program.as_text().count("stablehlo.while") == loops


def test_a_step_that_is_done_leaves_its_memory_to_the_next():
    def size(count):
        return run(count).lower(CLIP).compile().memory_analysis().temp_size_in_bytes

    assert size(8) < 1.3 * size(2)
