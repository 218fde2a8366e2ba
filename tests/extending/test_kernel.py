"""An implementation of one's own: a row of an operation's table, asked for by its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.kernels import shift3d
from vidshift.kernels.analysis.cases import OPERATIONS
from vidshift.kernels.dispatch import Implementation, forced
from vidshift.kernels.interpolated.api import SHIFT3D

XLA = SHIFT3D.implementations["xla"]
X = jax.random.normal(jax.random.key(0), (1, 3, 4, 4, 2))
SHIFT = jnp.array([[0.5, -1.0], [0.0, 0.25], [1.0, 0.0]])


def backwards(x, *arrays, **options):
    """The reference on clips played backwards in the batch: the same values."""
    return XLA.run["forward"](x[::-1], *arrays, **options)[::-1]


def not_seven_frames(x, spec):
    return "takes no clips of 7 frames" if x.shape[1] == 7 else None


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    row = Implementation(
        run={**XLA.run, "forward": backwards},
        dtypes=("float32",),
        platforms=("cpu",),
        unsupported=not_seven_frames,
    )
    monkeypatch.setitem(SHIFT3D.implementations, "mine", row)


def test_it_runs_by_its_name_and_learns():
    def loss(x, shift, implementation):
        return (shift3d(x, shift, implementation=implementation) ** 2).sum()

    values = jax.value_and_grad(loss, argnums=(0, 1))
    for found, wanted in zip(
        jax.tree.leaves(values(X, SHIFT, "mine")),
        jax.tree.leaves(values(X, SHIFT, "xla")),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_it_runs_in_every_call_where_it_is_forced():
    with forced("mine"):
        traced = jax.jit(lambda x: shift3d(x, SHIFT)).lower(X).as_text(debug_info=True)
    assert "shift3d_forward_mine" in traced
    traced = jax.jit(lambda x: shift3d(x, SHIFT)).lower(X).as_text(debug_info=True)
    assert "shift3d_forward_mine" not in traced


def test_what_it_cannot_run_is_said():
    with pytest.raises(ValueError, match="'mine' takes x of float32, got bfloat16"):
        shift3d(X.astype(jnp.bfloat16), SHIFT, implementation="mine")
    frames = jnp.zeros((1, 7, 2, 2, 2))
    with pytest.raises(NotImplementedError, match="'mine' takes no clips of 7 frames"):
        shift3d(frames, SHIFT, implementation="mine")
    assert "mine" in OPERATIONS["shift3d"].operation.names
