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


def conv(
    x: Float[Array, "H W N C"],
    kernel: Float[Array, "1 1 C K"],
    strides: tuple[int, int] = (1, 1),
) -> Float[Array, "H2 W2 N K"]:
    """Computes `x[::strides[0], ::strides[1]] @ kernel[0, 0]`.

    What runs is chosen when a program is lowered, by its platform. Who calls it writes
    the gradients, with `conv_dx` and `conv_dkernel`.
    """
    return _piece("forward", x, kernel, strides, x.shape[:2])


def conv_dx(
    dy: Float[Array, "H2 W2 N K"],
    kernel: Float[Array, "1 1 C K"],
    strides: tuple[int, int],
    sides: tuple[int, int],
) -> Float[Array, "H W N C"]:
    """Returns the gradient in x, of `sides` H and W."""
    return _piece("backward_x", dy, kernel, strides, sides)


def conv_dkernel(
    x: Float[Array, "H W N C"],
    dy: Float[Array, "H2 W2 N K"],
    strides: tuple[int, int],
) -> Float[Array, "1 1 C K"]:
    """Returns the gradient in the kernel, of x's type."""
    return _piece("backward_kernel", x, dy, strides, x.shape[:2])


def _piece(piece, first, second, strides, sides):
    """Runs the operation of two arrays, of which a kernel may be every device's."""
    static = {"piece": piece, "strides": tuple(strides), "sides": tuple(sides)}
    (result,) = _operation(first, varying_like(second, first), **static)
    return result


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
