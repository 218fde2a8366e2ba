"""Convolutions over each frame of a clip."""

import functools

import jax
from flax import nnx

from vidshift.kernels import Frames
from vidshift.kernels.sharding import over_batch


class FrameConv(nnx.Conv):
    """A 2-D convolution of every frame, `nnx.Conv` in its parameters."""

    def __call__(self, x: Frames) -> Frames:
        data, kernel = x.data.astype(self.dtype), self.kernel[...]
        window = (tuple(self.strides), tuple(self.padding), self.feature_group_count)
        y = _convolve(data, kernel, window, x.parts)
        if self.bias is not None:
            y = y + self.bias[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return x.like(y)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x, kernel, window, parts):
    """Convolves `[H, W, N, C]` by a kernel that is cast to the type of x."""
    return _in_one_type(x, kernel.astype(x.dtype), window)


def _in_one_type(x, kernel, window):
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
    (dx,) = jax.linear_transpose(lambda x: _in_one_type(x, cast, window), x)(dy)

    def own(x, dy):
        """Returns the kernel's gradient from a device's own frames, `[1, ...]`."""
        convolve = functools.partial(_in_one_type, x, window=window)
        return jax.linear_transpose(convolve, cast)(dy)[0].astype(kernel.dtype)[None]

    if parts > 1:
        # Summed over devices in the parameters' type. XLA by itself sums in that of x:
        # in bfloat16 over many devices most of a gradient's digits are lost.
        own = over_batch(own, batched=(True, True), axis=2, result_axis=0, parts=parts)
    return dx, own(x, dy).sum(0)


_convolve.defvjp(_forward, _backward)
