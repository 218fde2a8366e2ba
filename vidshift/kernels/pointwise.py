"""A 1x1 convolution of every frame, on a CPU as matrix products.

In `[H, W, N, C]` it is one product without a transpose, as are both gradients. XLA has
no such products on a CPU: it transposes the features for its convolution, and the
gradient in the kernel, a convolution with a window as large as the frame, runs at a
tenth of a product's speed. TPUs and GPUs run XLA's convolutions.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vidshift.kernels.apart import apart
from vidshift.kernels.lowering import make_operation
from vidshift.kernels.sharding import varying_like


def pointwise_conv(
    x: Float[Array, "H W N C"],
    kernel: Float[Array, "1 1 C K"],
    strides: tuple[int, int] = (1, 1),
) -> Float[Array, "H2 W2 N K"]:
    """Computes `x[::strides[0], ::strides[1]] @ kernel[0, 0]`.

    Differentiable in reverse mode. What runs is chosen when a program is lowered, by its
    platform.
    """
    return _conv(x, varying_like(kernel, x), tuple(strides))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, strides):
    (y,) = _operation(x, kernel, piece="forward", strides=strides, sides=x.shape[:2])
    return y


def _forward(x, kernel, strides):
    return _conv(x, kernel, strides), (x, kernel)


def _backward(strides, kept, dy):
    x, kernel = kept
    call = functools.partial(_operation, strides=strides, sides=x.shape[:2])
    (dx,) = call(dy, kernel, piece="backward_x")
    (dkernel,) = call(x, dy, piece="backward_kernel")
    return dx, dkernel


_conv.defvjp(_forward, _backward)


def _xla(piece: str, strides, sides):
    """XLA's convolution, or its gradient in one of its arguments."""

    def beyond(results):
        """Places after the last one that is read, along each axis."""
        return [
            side - (n - 1) * stride - 1
            for side, n, stride in zip(sides, results, strides, strict=True)
        ]

    conv = jax.lax.conv_general_dilated

    def forward(x, kernel):
        around = ((0, 0), (0, 0))
        numbers = ("HWNC", "HWIO", "HWNC")
        return conv(x, kernel, strides, around, dimension_numbers=numbers)

    def backward_x(dy, kernel):
        around = [(0, n) for n in beyond(dy.shape[:2])]
        numbers = ("HWNC", "HWOI", "HWNC")
        holes = {"lhs_dilation": strides, "dimension_numbers": numbers}
        return conv(dy, kernel, (1, 1), around, **holes)

    def backward_kernel(x, dy):
        # Summed over frames and places: dy is the kernel, as large as the frame.
        around = [(0, -n) for n in beyond(dy.shape[:2])]
        numbers = ("HWCN", "HWIO", "HWNC")
        holes = {"rhs_dilation": strides, "dimension_numbers": numbers}
        return conv(x, dy, (1, 1), around, **holes)

    return {
        "forward": forward,
        "backward_x": backward_x,
        "backward_kernel": backward_kernel,
    }[piece]


def _products(piece: str, strides, sides):
    """The same as products, each compiled by itself."""

    def forward(x, kernel):
        rows = x[:: strides[0], :: strides[1]]
        return jax.lax.dot_general(rows, kernel[0, 0], (((3,), (0,)), ((), ())))

    def backward_x(dy, kernel):
        rows = jax.lax.dot_general(dy, kernel[0, 0], (((3,), (1,)), ((), ())))
        if strides == (1, 1):
            return rows
        holes = [
            (0, side - (n - 1) * stride - 1, stride - 1)
            for side, n, stride in zip(sides, rows.shape[:2], strides, strict=True)
        ]
        around = (*holes, (0, 0, 0), (0, 0, 0))
        return jax.lax.pad(rows, jnp.zeros((), rows.dtype), around)

    def backward_kernel(x, dy):
        def read(x):
            return x[:: strides[0], :: strides[1]]

        return sum_of_rows(read, x, dy)[None, None]

    return {
        "forward": functools.partial(apart, forward),
        "backward_x": functools.partial(apart, backward_x),
        "backward_kernel": backward_kernel,
    }[piece]


def sum_of_rows(read, x, dy, dtype=None):
    """Returns `read(x)^T dy`, `[C, K]`, summed over all rows, of `dtype` or x's.

    Of the two operands the one with fewer channels is transposed.
    """
    rows = tuple(range(x.ndim - 1))
    contract = ((rows, rows), ((), ()))
    product = functools.partial(
        jax.lax.dot_general, dimension_numbers=contract, preferred_element_type=dtype
    )
    if x.shape[-1] <= dy.shape[-1]:
        return apart(lambda x, dy: product(read(x), dy), x, dy)
    return apart(lambda x, dy: product(dy, read(x)), x, dy).T


def _choose(platform, devices, *arrays, piece, strides, sides):
    products = platform == "cpu"
    run = (_products if products else _xla)(piece, strides, sides)

    def chosen(*arrays):
        return [run(*arrays)]

    chosen.__name__ = f"pointwise_conv_{piece}_{'products' if products else 'xla'}"
    return jax.named_scope(chosen.__name__)(chosen)


def _reference(*arrays, piece, strides, sides):
    return [_xla(piece, strides, sides)(*arrays)]


_operation = make_operation("pointwise_conv", _choose, _reference)
