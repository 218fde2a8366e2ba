"""The shift and the product after it as two: the reference, and where one does not pay.

`composed` joins any implementation of the shift with a product by XLA.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def composed(shift3d: dict[str, Callable]) -> dict[str, Callable]:
    """Pieces of `shift3d_conv` from those of an implementation of `shift3d`."""

    def forward(x, shift, weight, scale, bias, *, stride, max_shift, whole, relu):
        """x `[B, T, H, W, C]`, weight `[C, K]` of x's dtype, scale and bias `[K]`.

        -> `[B, T', H', W', K]` of x's dtype, from sums in float32.
        """
        moved = shift3d["forward"](
            x, shift, stride=stride, max_shift=max_shift, whole=whole
        )
        y = product(moved, weight)
        y = y * in_lanes(scale, y) + in_lanes(bias, y)
        return (jnp.maximum(y, 0) if relu else y).astype(x.dtype)

    def backward(x, shift, weight, dy, *, stride, max_shift, whole):
        """Returns dx, parts of dshift `[n, 3, C]` and parts of dweight `[n, C, K]`.

        For `product(shift3d(x), weight)`: scale is in the weight, the relu in dy.
        """
        of = {"stride": stride, "max_shift": max_shift, "whole": whole}
        moved = shift3d["forward"](x, shift, **of)
        dx, dshift = shift3d["backward"](x, shift, product_back(dy, weight), **of)
        return dx, dshift, over_places(moved, dy)[None]

    return {"forward": forward, "backward": backward}


def product(x, weight):
    """`[..., C]` times `[C, K]`, in the type of the sums."""
    return jax.lax.dot_general(
        x, weight, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=_sums(x)
    )


def product_back(dy, weight):
    """`[..., K]` times the transpose of `[C, K]`, in dy's dtype."""
    return jax.lax.dot_general(
        dy, weight, (((dy.ndim - 1,), (1,)), ((), ())), preferred_element_type=_sums(dy)
    ).astype(dy.dtype)


def over_places(x, dy):
    """`[..., C]`, `[..., K]` -> their products summed over all places, `[C, K]`."""
    places = tuple(range(x.ndim - 1))
    return jax.lax.dot_general(
        x, dy, ((places, places), ((), ())), preferred_element_type=_sums(x)
    )


def in_lanes(values, y):
    """`[K]` -> what `[..., K]` can be multiplied by."""
    return values.reshape((1,) * (y.ndim - 1) + (-1,))


def _sums(x):
    return jnp.promote_types(x.dtype, jnp.float32)
