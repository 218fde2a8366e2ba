"""`shift3d_conv` by its definition, in float64 with derivatives by JAX."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from tests.support.shift3d_reference import out_shape
from vidshift.kernels.interpolated.taps import nearest

EPS = {"float32": 2.0**-23, "bfloat16": 2.0**-8}


def arguments(shape, outputs, dtype, options, seed=0):
    """x, shift, weight, scale, bias, dy: normal, shifts within the bounds."""
    rng = np.random.default_rng(seed + sum(shape))
    dtype = ml_dtypes.bfloat16 if dtype == jnp.bfloat16 else np.float32
    channels = shape[-1]
    bound = options.get("max_shift") or (1.0, 1.0, 1.0)
    limit = 0.95 * np.float32(bound)[:, None]
    normal = rng.standard_normal
    weight = normal((channels, outputs)) / np.sqrt(channels)
    dy = normal((*out_shape(shape, options.get("stride", (1, 1, 1)))[:4], outputs))
    return (
        jnp.asarray(normal(shape).astype(dtype)),
        jnp.asarray(rng.uniform(-limit, limit, (3, channels)).astype(np.float32)),
        jnp.asarray(weight.astype(dtype).astype(np.float32)),
        jnp.asarray(rng.uniform(0.5, 2, outputs).astype(np.float32)),
        jnp.asarray(normal(outputs).astype(np.float32)),
        jnp.asarray(dy.astype(dtype)),
    )


def gradients_of(f, x, shift, weight, scale, bias, dy, **options):
    """y and the gradients in x, shift, weight, scale and bias."""

    def call(x, shift, weight, scale, bias):
        return f(x, shift, weight, scale=scale, bias=bias, **options)

    y, vjp = jax.vjp(call, x, shift, weight, scale, bias)
    return y, *vjp(dy)


def by_autodiff(*args, **options):
    """`gradients_of` the definition, in float64."""
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        wide = [jnp.asarray(np.asarray(a, np.float64)) for a in args]
        run = jax.jit(lambda *a: gradients_of(definition, *a, **options))
        return [np.asarray(a) for a in run(*wide)]


def definition(
    x, shift, weight, *, scale, bias, relu=False, stride=(1, 1, 1), quantize=False,
    max_shift=None,
):  # fmt: skip
    """Hats over all places; with `quantize` straight through to the shift."""
    del max_shift  # no shift is beyond it
    moved = hats(x, shift, stride)
    if quantize:
        through = hats(jax.lax.stop_gradient(x), shift, stride)
        moved = hats(x, nearest(jax.lax.stop_gradient(shift)), stride)
        moved += through - jax.lax.stop_gradient(through)
    y = (moved @ weight) * scale + bias
    return jax.nn.relu(y) if relu else y


def hats(x, shift, stride):
    """`y[o] = sum over i of relu(1 - |o * stride + s - i|) x[i]` on each axis."""
    for axis, st in enumerate(stride):
        n = x.shape[axis + 1]
        o, i = jnp.arange(0, n, st)[:, None, None], jnp.arange(n)[:, None]
        weights = jax.nn.relu(1 - jnp.abs(o + shift[axis] - i))  # [o, i, C]
        x = jnp.moveaxis(x, axis + 1, 0)
        x = jnp.moveaxis(jnp.einsum("i...c,oic->o...c", x, weights), 0, axis + 1)
    return x


def check_close(got, want, args) -> None:
    """Rounding errors of n terms of about one add up like a random walk."""
    x, dy = args[0], args[-1]
    places = np.prod(dy.shape[:4])
    terms = {"y": x.shape[4], "x": 8 * dy.shape[4], "shift": places * dy.shape[4]}
    dtypes = [x.dtype, x.dtype, *(a.dtype for a in args[1:5])]
    for name, dtype, g, w in zip(
        ("y", "x", "shift", "weight", "scale", "bias"), dtypes, got, want, strict=True
    ):
        assert g.dtype == dtype and g.shape == w.shape, name
        assert np.any(w), name
        eps = EPS[x.dtype.name]
        np.testing.assert_allclose(
            np.asarray(g, np.float64),
            w,
            err_msg=name,
            rtol=4 * eps,
            atol=4 * eps * np.sqrt(terms.get(name, places)),
        )
