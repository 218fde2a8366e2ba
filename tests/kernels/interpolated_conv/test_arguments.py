"""`shift3d_conv`: its options one by one, and the arguments that it refuses."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.kernels import shift3d, shift3d_conv

X, SHIFT, WEIGHT = jnp.ones((1, 2, 3, 4, 5)), jnp.full((3, 5), 0.5), jnp.ones((5, 6))
SCALE, BIAS = jnp.full(6, 2.0), jnp.ones(6)
ONE = (1.0, 1.0, 1.0)


def test_is_the_composition():
    """Each option by itself; and the weight is rounded to x's dtype."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal(X.shape), jnp.bfloat16)
    weight = WEIGHT * 1.001
    plain = shift3d(x, SHIFT).astype(jnp.float32).sum(-1, keepdims=True)
    rounded = np.float32(weight.astype(jnp.bfloat16)[0, 0])
    for options, want in (
        ({}, plain * rounded),
        ({"scale": SCALE}, plain * rounded * 2),
        ({"bias": BIAS}, plain * rounded + 1),
        ({"relu": True}, jnp.maximum(plain * rounded, 0)),
        ({"scale": SCALE, "bias": BIAS}, plain * rounded * 2 + 1),
    ):
        y = shift3d_conv(x, SHIFT, weight, **options)
        assert y.dtype == jnp.bfloat16 and y.shape == (*X.shape[:4], 6)
        want = np.broadcast_to(np.asarray(want), y.shape)
        np.testing.assert_allclose(np.float32(y), want, rtol=2.0**-8, atol=1e-6)


def test_gradients_have_their_arguments_dtypes():
    def loss(weight, scale, bias, shift):
        y = shift3d_conv(X.astype(jnp.bfloat16), shift, weight, scale=scale, bias=bias)
        return y.astype(jnp.float32).sum()

    args = WEIGHT, SCALE.astype(jnp.bfloat16), BIAS, SHIFT
    for gradient, arg in zip(jax.grad(loss, (0, 1, 2, 3))(*args), args, strict=True):
        assert gradient.dtype == arg.dtype and gradient.shape == arg.shape


def test_integers_have_no_gradient():
    shift = jnp.ones((3, 5), jnp.int8)
    y, vjp = jax.vjp(lambda x, s, w: shift3d_conv(x, s, w), X, shift, WEIGHT)
    dx, dshift, dweight = vjp(jnp.ones_like(y))
    assert dshift.dtype == jax.dtypes.float0
    # 1 x 2 x 3 places read one further on each axis.
    np.testing.assert_array_equal(dweight, np.full((5, 6), 6.0))
    assert dx[0, 1, 1, 1, 0] == 6 and dx[0, 0].sum() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": SHIFT[:2]}, r"shift must be \[3, C\].*got shape \(2, 5\)"),
        ({"weight": WEIGHT[:4]}, r"weight must be .*\[5, K\], got shape \(4, 6\)"),
        ({"weight": WEIGHT[0]}, r"weight must be .*got shape \(6,\)"),
        ({"weight": WEIGHT[:, :0]}, r"weight has no outputs: shape \(5, 0\)"),
        ({"weight": WEIGHT.astype(int)}, "weight must be floats, got int32"),
        ({"scale": SCALE[:5]}, r"scale must be .*\[6\], got shape \(5,\)"),
        ({"scale": SCALE[None]}, r"scale must be .*got shape \(1, 6\)"),
        ({"bias": BIAS[:5]}, r"bias must be .*\[6\], got shape \(5,\)"),
        ({"bias": BIAS.astype(complex)}, "bias must be floats, got complex64"),
        ({"x": X.astype(jnp.float16)}, "'xla' takes x of .*float32.*got float16"),
    ],
)
def test_wrong_arguments(change, message):
    unchecked = inspect.unwrap(shift3d_conv)  # as outside tests: no shape annotations
    with pytest.raises(ValueError, match=message):
        unchecked(**{"x": X, "shift": SHIFT, "weight": WEIGHT} | change)


def test_tpu_kernel_needs_a_bound():
    with pytest.raises(NotImplementedError, match="'pallas_tpu' needs max_shift"):
        shift3d_conv(X, SHIFT, WEIGHT, implementation="pallas_tpu")


def test_tpu_kernel_needs_room():
    x = jax.ShapeDtypeStruct((1, 8, 4, 4, 4096), jnp.float32)
    f = functools.partial(shift3d_conv, max_shift=ONE, implementation="pallas_tpu")
    with pytest.raises(NotImplementedError, match="no room in VMEM .* 8192 outputs"):
        jax.eval_shape(f, x, jnp.zeros((3, 4096)), jnp.zeros((4096, 8192)))
