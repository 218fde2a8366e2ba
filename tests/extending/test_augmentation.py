"""An augmentation that is not the library's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.data.device.apply_augment import apply
from vidshift.data.device.augment import Augment
from vidshift.data.device.operations import OPERATIONS, AugmentOperation


def shift_columns(height, width, pixels):
    return jnp.array([1, 0, 0, 0, 1, 0], jnp.float32).at[2].set(pixels)


def darken(x, levels):
    return x - jnp.minimum(x, levels.astype(jnp.uint8))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (AugmentOperation(lambda magnitude, sign: 4 * magnitude, darken), [0, 14, 114]),
        (
            AugmentOperation(lambda magnitude, sign: 1, matrix=shift_columns),
            [50, 150, 124],
        ),
    ],
)
def test_an_operation_is_drawn_and_applied_under_jit(monkeypatch, operation, expected):
    monkeypatch.setitem(OPERATIONS, "Mine", operation)
    augment = Augment(rand_ops=1, rand_magnitude=9.0, rand_std=0.0)
    rows = [augment.draw(np.random.default_rng(seed)) for seed in range(200)]
    drawn = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    mine = np.flatnonzero(drawn["augment_op"][:, 0] == len(OPERATIONS) - 1)[:2]
    batch = {key: value[mine] for key, value in drawn.items()}
    video = np.broadcast_to(np.array([0, 50, 150], np.uint8)[:, None], (2, 1, 2, 3, 3))
    # A function of its own: a program that was compiled before would not change.
    out = np.asarray(jax.jit(lambda *given: apply(*given))(video, batch))
    assert len(mine) == 2 and (out[..., 0] == expected).all()
