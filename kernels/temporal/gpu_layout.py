"""The GPU's kernels for features in any of our orders: theirs is `[A, T, R, C]`.

R counts what lies between two frames of a clip. cuDNN wants its features as
`[frames, H, W, C]`, and XLA keeps `[H, W, N, C]` like that, so the transposes around the
kernels move nothing there.
"""

import math

import jax

from kernels.temporal import gpu
from kernels.temporal.move import Move


def missing(x, out_channels: int = 0, *, move: Move) -> str | None:
    """What keeps a call on features of x's shape from running here, or None."""
    there = jax.eval_shape(
        lambda x: _there(x, move), jax.ShapeDtypeStruct(x.shape, x.dtype)
    )
    return gpu.missing(there, out_channels or None)


def rows(shape) -> tuple[int, int, int, int]:
    """`[A, T, R, C]` of clips `[B, T, ..., C]`."""
    return (*shape[:2], math.prod(shape[2:-1]), shape[-1])


def shift(x, *, move: Move):
    """As `xla.shift`, bit for bit."""
    y = gpu.shift(_there(x, move), **_how(move), reverse=move.reverse)
    return _back(y, x, move)


def conv(x, weight, scale, bias, *, relu: bool, move: Move):
    """As `xla.conv`."""
    scale, bias = (None if a is None else a.astype("float32") for a in (scale, bias))
    weight = weight.astype(x.dtype)
    y = gpu.shift_conv(_there(x, move), weight, scale, bias, **_how(move), relu=relu)
    return _back(y, x, move)


def conv_dx(dz, weight, *, move: Move):
    """As `xla.conv_dx`."""
    dx = gpu.shift_conv_dx(_there(dz, move), weight.astype(dz.dtype), **_how(move))
    return _back(dx, dz, move)


def conv_dw(x, dz, *, move: Move):
    """As `xla.conv_dw`."""
    return gpu.shift_conv_dw(_there(x, move), _there(dz, move), **_how(move))[None]


def _how(move: Move) -> dict:
    return {"fold": move.fold, "direction": move.direction}


def _there(x, move: Move):
    if move.frames is None:
        return x.reshape(rows(x.shape))
    x = x.transpose(2, 0, 1, 3)
    return x.reshape(move.parts, move.frames, -1, x.shape[-1])


def _back(y, x, move: Move):
    channels = y.shape[-1]
    if move.frames is None:
        return y.reshape(*x.shape[:-1], channels)
    height, width, rows = x.shape[:3]
    return y.reshape(rows, height, width, channels).transpose(1, 2, 0, 3)
