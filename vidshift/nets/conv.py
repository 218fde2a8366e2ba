"""Convolutions over each frame of a clip."""

import jax
import jax.numpy as jnp
from flax import nnx

from kernels import Frames
from vidshift.nets.norm import BatchNorm
from vidshift.shifts import Unit

he_fan_out = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class FrameConv(nnx.Conv):
    """A 2-D convolution of every frame, `nnx.Conv` in its parameters."""

    def __call__(self, x: Frames) -> Frames:
        data, kernel = self.promote_dtype((x.data, self.kernel[...]), dtype=self.dtype)
        y = jax.lax.conv_general_dilated(
            data,
            kernel,
            self.strides,
            self.padding,
            dimension_numbers=("HWNC", "HWIO", "HWNC"),
            feature_group_count=self.feature_group_count,
        )
        if self.bias is not None:
            y = y + self.bias[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return x.like(y)


def conv_unit(
    cin,
    cout,
    kernel,
    stride=1,
    *,
    padding=None,
    groups=1,
    use_bias=False,
    activation=nnx.relu,
    epsilon=1e-5,
    momentum=0.9,
    kernel_init=he_fan_out,
    dtype=jnp.float32,
    rngs,
) -> Unit:
    """A convolution over each frame, batch norm, activation.

    Args:
      kernel: its side, or (height, width).
      padding: places around a frame on each side, or (vertically, horizontally); None
        half of the kernel.
      epsilon, momentum: the norm's; momentum is the share that is kept.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
    if padding is None:
        padding = tuple(k // 2 for k in kernel)
    padding = (padding, padding) if isinstance(padding, int) else padding
    conv = FrameConv(
        cin,
        cout,
        kernel,
        (stride, stride),
        padding=tuple((p, p) for p in padding),
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=kernel_init,
        dtype=dtype,
        rngs=rngs,
    )
    norm = BatchNorm(cout, epsilon=epsilon, momentum=momentum, dtype=dtype)
    return Unit(conv, norm, activation)


def max_pool(x: Frames, side: int, stride: int, padding: int) -> Frames:
    """The largest value of each window of a frame; beyond its edges is -inf."""
    around = (padding, padding)
    return x.like(
        jax.lax.reduce_window(
            x.data,
            -jnp.inf,
            jax.lax.max,
            (side, side, 1, 1),
            (stride, stride, 1, 1),
            (around, around, (0, 0), (0, 0)),
        )
    )
