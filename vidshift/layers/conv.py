"""Convolutions over each frame of a clip."""

import functools
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from vidshift.kernels import Frames, depthwise, pointwise
from vidshift.kernels.sharding import over_batch, varying_like


class Window(NamedTuple):
    """Static arguments of a convolution over `[H, W, N, C]`."""

    strides: tuple[int, int]
    padding: tuple[tuple[int, int], ...]
    groups: int


class FrameConv(nnx.Conv):
    """A 2-D convolution of every frame, `nnx.Conv` in its parameters."""

    def __call__(self, x: Frames) -> Frames:
        data, kernel = x.data.astype(self.dtype), self.kernel[...]
        padding = tuple(map(tuple, self.padding))
        window = Window(tuple(self.strides), padding, self.feature_group_count)
        y = convolve(data, kernel, window, parts=x.parts)
        if self.bias is not None:
            y = y + self.bias[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return x.like(y)


def convolve(x, kernel, window: Window, *, parts: int = 1):
    """Convolves every frame of `[H, W, N, C]`, in x's type.

    Args:
      kernel: `[side, side, C / groups, K]`, of any type. Its gradient is of that type,
        and is summed in it over devices.
      window: strides, padding, groups.
      parts: devices that share N.
    """
    # Where a `shard_map` is around, it sums each device's gradient.
    return _convolve(x, varying_like(kernel, x), window, parts)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x, kernel, window, parts):
    return _in_one_type(x, kernel.astype(x.dtype), window)


def _in_one_type(x, kernel, window):
    if _pointwise(kernel, window):
        return pointwise.conv(x, kernel, window.strides)
    if _depthwise(kernel, window):
        return depthwise.conv(x, kernel, window.strides, window.padding)
    return _by_xla(x, kernel, window)


def _pointwise(kernel, window: Window) -> bool:
    """Tells if it is 1x1 over all channels, of places of the frame alone."""
    plain = window.groups == 1 and not np.any(window.padding)
    return plain and kernel.shape[:2] == (1, 1)


def _depthwise(kernel, window: Window) -> bool:
    """Tells if each channel has its own kernel and gives one channel."""
    return kernel.shape[2:] == (1, window.groups)


def _by_xla(x, kernel, window):
    strides, padding, groups = window
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        dimension_numbers=("HWNC", "HWIO", "HWNC"),
        feature_group_count=groups,
    )


def _forward(x, kernel, window, parts):
    return _convolve(x, kernel, window, parts), (x, kernel)


def _backward(window, parts, residuals, dy):
    x, kernel = residuals
    cast = kernel.astype(x.dtype)
    strides, padding, _ = window
    is_pointwise, is_depthwise = _pointwise(cast, window), _depthwise(cast, window)
    if is_pointwise:
        dx = pointwise.conv_dx(dy, cast, strides, x.shape[:2])
    elif is_depthwise:
        dx = depthwise.conv_dx(dy, cast, strides, padding, x.shape[:2])
    else:
        (dx,) = jax.linear_transpose(lambda x: _by_xla(x, cast, window), x)(dy)

    def own(x, dy):
        """Returns the kernel's gradient from a device's own frames, `[1, ...]`."""
        if is_pointwise:
            dkernel = pointwise.conv_dkernel(x, dy, strides)
        elif is_depthwise:
            sides = kernel.shape[:2]
            dkernel = depthwise.conv_dkernel(x, dy, strides, padding, sides)
        else:
            convolve = functools.partial(_by_xla, x, window=window)
            (dkernel,) = jax.linear_transpose(convolve, cast)(dy)
        return dkernel.astype(kernel.dtype)[None]

    if parts > 1:
        # Summed over devices in the parameters' type. XLA by itself sums in that of x:
        # in bfloat16 over many devices most of a gradient's digits are lost.
        own = over_batch(own, batched=(True, True), axis=2, result_axis=0, parts=parts)
    return dx, own(x, dy).sum(0)


_convolve.defvjp(_forward, _backward)
