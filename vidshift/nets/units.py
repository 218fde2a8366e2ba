"""Units (a convolution, its norm, its activation) and their way through a scheme."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx

from vidshift.layers.conv import FrameConv
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.norm import BatchNorm
from vidshift.layers.time_conv import TimeConv
from vidshift.shifts import Scheme, Site, Unit


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
    """A convolution over each frame, or over frames and time, batch norm, activation.

    Args:
      kernel: its side, or (height, width), or (time, height, width).
      stride: of each axis of the kernel, or one for all.
      padding: places around a frame on each side, or (vertically, horizontally); None
        half of the kernel.
      epsilon, momentum: the norm's; momentum is the share that is kept.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
    stride = (stride,) * len(kernel) if isinstance(stride, int) else tuple(stride)
    if kernel[:-2] == (1,):  # a frame at a time
        kernel, stride = kernel[1:], stride[1:]
    if padding is None:
        padding = tuple(k // 2 for k in kernel)
    padding = (padding, padding) if isinstance(padding, int) else padding
    conv = (FrameConv if len(kernel) == 2 else TimeConv)(
        cin,
        cout,
        kernel,
        stride,
        padding=tuple((p, p) for p in padding),
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=kernel_init,
        dtype=dtype,
        rngs=rngs,
    )
    norm = BatchNorm(cout, epsilon=epsilon, momentum=momentum, dtype=dtype)
    return Unit(conv, norm, activation)


def placed(
    scheme: Scheme, site: Callable[..., Site], parts: list[tuple[int, int, nnx.Module]]
) -> list[nnx.Module]:
    """The units of a branch, each as the scheme places it.

    Args:
      site: makes a unit's site from its number and its channels.
      parts: `[(in, out, unit), ...]`, channels of the full-width network.
    """
    return [
        scheme.place(site(unit=i, in_channels=cin, out_channels=cout), unit)
        for i, (cin, cout, unit) in enumerate(parts)
    ]


def in_order(stages, x):
    """Features after all blocks of all stages."""
    for stage in stages:
        for block in stage:
            x = block(x)
    return x
