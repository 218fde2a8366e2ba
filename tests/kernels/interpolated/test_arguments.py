"""`shift3d`: the arguments that it refuses."""

import inspect

import jax.numpy as jnp
import pytest

from vidshift.kernels import shift3d

X, SHIFT = jnp.zeros((1, 2, 3, 4, 5)), jnp.zeros((3, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[0]}, r"x must be \[B, T, H, W, C\], got shape \(2, 3, 4, 5\)"),
        ({"x": X[:, :, :0]}, r"x has no elements: shape \(1, 2, 0, 4, 5\)"),
        ({"x": X[:0]}, "x has no elements"),
        ({"shift": SHIFT[:2]}, r"shift must be \[3, C\].*got shape \(2, 5\)"),
        ({"shift": SHIFT[:, :4]}, r"C=5 as in x, got shape \(3, 4\)"),
        ({"shift": SHIFT[:, 0]}, r"got shape \(3,\)"),
        ({"shift": SHIFT > 0}, "shift must be floats or integers, got bool"),
        ({"shift": SHIFT.astype(complex)}, "floats or integers, got complex64"),
        ({"stride": (1, 0, 1)}, r"stride must be three .* from 1, got \(1, 0, 1\)"),
        ({"stride": (1, 1.5, 1)}, r"stride must be .*got \(1, 1.5, 1\)"),
        ({"stride": (1, 2)}, r"stride must be .*got \(1, 2\)"),
        ({"stride": 2}, "stride must be .*got 2"),
        ({"stride": (1, 1, float("nan"))}, "stride must be .*nan"),
        ({"stride": (1, 1, float("inf"))}, "stride must be .*inf"),
        ({"max_shift": (1, -1, 1)}, r"max_shift must be .* from 0, got \(1, -1, 1\)"),
        ({"max_shift": (1, 1, float("nan"))}, "max_shift must be .*nan"),
        ({"max_shift": (1, 1, float("inf"))}, "max_shift must be .*inf"),
        ({"max_shift": (1, 1)}, r"max_shift must be .*got \(1, 1\)"),
        ({"max_shift": 1.0}, "max_shift must be .*got 1.0"),
        ({"x": X.astype(jnp.float16)}, "'xla' takes x of .*float32.*got float16"),
        ({"x": X.astype(jnp.int8)}, "'xla' takes x of .*got int8"),
    ],
)
def test_wrong_arguments(change, message):
    unchecked = inspect.unwrap(shift3d)  # as outside tests: no shape annotations
    with pytest.raises(ValueError, match=message):
        unchecked(**{"x": X, "shift": SHIFT} | change)


def test_tpu_kernel_needs_a_bound():
    with pytest.raises(NotImplementedError, match="'pallas_tpu' needs max_shift"):
        shift3d(X, SHIFT, implementation="pallas_tpu")
