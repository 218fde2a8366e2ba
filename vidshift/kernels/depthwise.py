"""A depthwise convolution of every frame, on a CPU as multiplications and additions.

XLA's convolution on a CPU takes a group for each channel at a thirtieth of the speed that
its loops have: here a tap of the kernel is a shifted copy of the features times a row of
channels, and the sum over taps is one loop. TPUs and GPUs run XLA's convolutions.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vidshift.kernels.apart import apart
from vidshift.kernels.lowering import make_operation
from vidshift.kernels.sharding import varying_like

Padding = tuple[tuple[int, int], tuple[int, int]]


def conv(
    x: Float[Array, "H W N C"],
    kernel: Float[Array, "h w 1 C"],
    strides: tuple[int, int],
    padding: Padding,
) -> Float[Array, "H2 W2 N C"]:
    """Convolves each channel of every frame with its own kernel.

    What runs is chosen when a program is lowered, by its platform. Who calls it writes
    the gradients, with `conv_dx` and `conv_dkernel`.

    Args:
      padding: zeros before and after, along H and W.
    """
    return _piece("forward", x, kernel, strides, padding, x.shape[:2])


def conv_dx(
    dy: Float[Array, "H2 W2 N C"],
    kernel: Float[Array, "h w 1 C"],
    strides: tuple[int, int],
    padding: Padding,
    sides: tuple[int, int],
) -> Float[Array, "H W N C"]:
    """Returns the gradient in x, of `sides` H and W."""
    return _piece("backward_x", dy, kernel, strides, padding, sides)


def conv_dkernel(
    x: Float[Array, "H W N C"],
    dy: Float[Array, "H2 W2 N C"],
    strides: tuple[int, int],
    padding: Padding,
    sides: tuple[int, int],
) -> Float[Array, "h w 1 C"]:
    """Returns the gradient in the kernel, of `sides` h and w and of x's type."""
    return _piece("backward_kernel", x, dy, strides, padding, sides)


def _piece(piece, first, second, strides, padding, sides):
    """Runs the operation of two arrays, of which a kernel may be every device's."""
    static = {
        "piece": piece,
        "strides": tuple(strides),
        "padding": tuple(map(tuple, padding)),
        "sides": tuple(sides),
    }
    (result,) = _operation(first, varying_like(second, first), **static)
    return result


def _xla(piece: str, strides, padding, sides):
    """XLA's convolution, or its gradient in one of its arguments."""

    def forward(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            dimension_numbers=("HWNC", "HWIO", "HWNC"),
            feature_group_count=x.shape[-1],
        )

    def backward_x(dy, kernel):
        x = jax.ShapeDtypeStruct((*sides, *dy.shape[2:]), dy.dtype)
        return jax.linear_transpose(lambda x: forward(x, kernel), x)(dy)[0]

    def backward_kernel(x, dy):
        kernel = jax.ShapeDtypeStruct((*sides, 1, x.shape[-1]), x.dtype)
        return jax.linear_transpose(lambda kernel: forward(x, kernel), kernel)(dy)[0]

    return {
        "forward": forward,
        "backward_x": backward_x,
        "backward_kernel": backward_kernel,
    }[piece]


def _taps(piece: str, strides, padding, sides):
    """The same as sums over taps, each compiled by itself."""

    def forward(x, kernel):
        return _sum_of_taps(_padded(x, padding), kernel, strides)

    def backward_x(dy, kernel):
        # dy with holes where a stride has left out places, and the kernel turned round.
        around = []
        for side, n, taps, stride, (low, _) in zip(
            sides, dy.shape[:2], kernel.shape[:2], strides, padding, strict=True
        ):
            before = taps - 1 - low
            after = side + taps - 1 - before - ((n - 1) * stride + 1)
            around.append((before, after, stride - 1))
        zero = jnp.zeros((), dy.dtype)
        dy = jax.lax.pad(dy, zero, (*around, (0, 0, 0), (0, 0, 0)))
        return _sum_of_taps(dy, kernel[::-1, ::-1], (1, 1))

    def backward_kernel(x, dy):
        x, wide = _padded(x, padding), jnp.promote_types(x.dtype, jnp.float32)
        taps, (_, width) = sides, dy.shape[:2]

        def add_row(row, sums):
            """Adds a row of dy times the rows of x below its taps, all in the cache."""
            rows = jax.lax.dynamic_slice_in_dim(x, row * strides[0], taps[0], 0)
            rows, dys = rows.astype(wide), dy[row].astype(wide)
            return sums + jnp.stack(
                [
                    (rows[row, _every(column, strides[1], width)] * dys).sum((0, 1))
                    for row, column in np.ndindex(taps)
                ]
            )

        sums = jnp.zeros((taps[0] * taps[1], x.shape[-1]), wide)
        # In a `shard_map` the sums are a device's own, as the rows are.
        sums = varying_like(sums, x)
        sums = jax.lax.fori_loop(0, len(dy), add_row, sums)
        return sums.reshape(*taps, 1, -1).astype(x.dtype)

    return functools.partial(
        apart,
        {
            "forward": forward,
            "backward_x": backward_x,
            "backward_kernel": backward_kernel,
        }[piece],
    )


def _padded(x, padding):
    around = (*((low, high, 0) for low, high in padding), (0, 0, 0), (0, 0, 0))
    return jax.lax.pad(x, jnp.zeros((), x.dtype), around)


def _sum_of_taps(x, kernel, strides):
    """Convolves padded features, in float32 or x's wider type."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    height, width = (
        (side - taps) // stride + 1
        for side, taps, stride in zip(x.shape, kernel.shape[:2], strides, strict=False)
    )
    total, taps = 0, kernel.astype(wide)
    for row, column in np.ndindex(kernel.shape[:2]):
        places = x[
            _every(row, strides[0], height),
            _every(column, strides[1], width),
        ]
        total += places.astype(wide) * taps[row : row + 1, column : column + 1]
    return total.astype(x.dtype)


def _every(first: int, stride: int, number: int) -> slice:
    """Returns the slice of `number` places, a stride apart."""
    return slice(first, first + (number - 1) * stride + 1, stride)


def _choose(platform, devices, *arrays, piece, strides, padding, sides):
    taps = platform == "cpu"
    run = (_taps if taps else _xla)(piece, strides, padding, sides)

    def chosen(*arrays):
        return [run(*arrays)]

    chosen.__name__ = f"depthwise_conv_{piece}_{'taps' if taps else 'xla'}"
    return jax.named_scope(chosen.__name__)(chosen)


def _reference(*arrays, piece, strides, padding, sides):
    return [_xla(piece, strides, padding, sides)(*arrays)]


_operation = make_operation("depthwise_conv", _choose, _reference)
