"""Pooling over each frame of a clip, as PyTorch counts places and windows."""

import jax
import jax.numpy as jnp

from vidshift.kernels import Frames


def max_pool(
    x: Frames, side: int, stride: int, padding: int, *, ceil_mode: bool = False
) -> Frames:
    """The largest value of each window of a frame; beyond its edges is -inf.

    Args:
      side, stride: of the windows.
      padding: places around a frame on each side.
      ceil_mode: a last window that hangs over the far edge counts too, if it starts
        within the frame or the padding before it.
    """
    around = [_around(n, side, stride, padding, ceil_mode) for n in x.data.shape[:2]]
    return _windows(x, -jnp.inf, jax.lax.max, side, stride, around)


def avg_pool(x: Frames, side: int, stride: int, padding: int) -> Frames:
    """The mean of each window of a frame, summed in float32.

    The places around the frame count as zeros, so at its edges the mean is nearer to zero.
    """
    around = [(padding, padding)] * 2
    wide = x.like(x.data.astype(jnp.float32))
    sums = _windows(wide, 0.0, jax.lax.add, side, stride, around)
    return x.like((sums.data / side**2).astype(x.data.dtype))


def _around(length, side, stride, padding, ceil_mode) -> tuple[int, int]:
    """Places before and after an axis."""
    if not ceil_mode:
        return padding, padding
    windows = -(-(length + 2 * padding - side) // stride) + 1
    if (windows - 1) * stride >= length + padding:
        windows -= 1  # it would see nothing but padding
    return padding, max(padding, (windows - 1) * stride + side - length - padding)


def _windows(x: Frames, start, reduce, side, stride, around) -> Frames:
    return x.like(
        jax.lax.reduce_window(
            x.data,
            start,
            reduce,
            (side, side, 1, 1),
            (stride, stride, 1, 1),
            (*around, (0, 0), (0, 0)),
        )
    )
