"""The bodies of the TPU kernels: a block of `[positions, N, C]`, N = frames x clips."""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128


def move_rows(x, groups, clips: int, rows: int):
    """Moves the channels of each group by one frame, which is `clips` rows.

    x is `[R, L]` float32 with whole positions of `rows` rows; rows rotate over the ends
    of a position, where the mask has them zero.
    """
    row = jax.lax.broadcasted_iota(jnp.int32, x.shape, 0) % rows
    channel = jax.lax.broadcasted_iota(jnp.int32, x.shape, 1)
    y = x
    for end, step in reversed(groups):
        if step > 0:
            rolled, lost = pltpu.roll(x, x.shape[0] - clips, 0), row >= rows - clips
        else:
            rolled, lost = pltpu.roll(x, clips, 0), row < clips
        y = jnp.where(channel < end, jnp.where(lost, 0.0, rolled), y)
    return y


def _moved(x, groups, clips: int):
    """`[s, N, C]` with its groups moved, as `[s * N, C]`; only lanes that move are."""
    positions, rows, channels = x.shape
    flat = x.reshape(positions * rows, channels)
    if not groups:
        return flat
    moving = min(-(-groups[-1][0] // LANES) * LANES, channels)
    part = flat[:, :moving].astype(jnp.float32)
    part = move_rows(part, groups, clips, rows).astype(x.dtype)
    if moving == channels:
        return part
    return jnp.concatenate([part, flat[:, moving:]], axis=1)


def shift_kernel(x_ref, y_ref, *, groups, clips):
    y_ref[...] = _moved(x_ref[...], groups, clips).reshape(y_ref.shape)


def _dot(a, b, contract):
    """In float32 by the float32 product proper, not by its bfloat16 part."""
    exact = a.dtype == jnp.float32
    return jax.lax.dot_general(
        a,
        b,
        ((contract[:1], contract[1:]), ((), ())),
        precision=jax.lax.Precision.HIGHEST if exact else None,
        preferred_element_type=jnp.float32,
    )


def conv_kernel(x_ref, w_ref, scale_ref, bias_ref, y_ref, *, groups, clips, relu, swap):
    """y is `[s, N, K]`, or with `swap` `[s, K, N]` (weights, scale, bias turned too)."""
    moved = _moved(x_ref[...], groups, clips)
    positions, rows, _ = x_ref.shape
    w, scale, bias = w_ref[...], scale_ref[...], bias_ref[...]

    def finish(y):
        y = y * scale + bias
        return (jnp.maximum(y, 0.0) if relu else y).astype(y_ref.dtype)

    if swap:
        for s in range(positions):
            here = moved[s * rows : (s + 1) * rows]
            y_ref[s] = finish(_dot(w, here, (1, 1)))
    else:
        y_ref[...] = finish(_dot(moved, w, (1, 0))).reshape(y_ref.shape)


def conv_dx_kernel(dz_ref, w_ref, dx_ref, *, groups, clips, swap):
    """dx `[s, N, C]` of dz `[s, N, K]` (`[s, K, N]`) and w `[C, K]`."""
    positions, rows, channels = dx_ref.shape
    w = w_ref[...]
    if swap:
        each = [_dot(dz_ref[s], w, (0, 1)) for s in range(positions)]
        dx = jnp.concatenate(each, axis=0)
    else:
        dx = _dot(dz_ref[...].reshape(positions * rows, -1), w, (1, 1))
    if groups:
        moving = min(-(-groups[-1][0] // LANES) * LANES, channels)
        part = move_rows(dx[:, :moving], groups, clips, rows)
        rest = [dx[:, moving:]] if moving < channels else []
        dx = jnp.concatenate([part, *rest], axis=1)
    dx_ref[...] = dx.astype(dx_ref.dtype).reshape(dx_ref.shape)


def conv_dw_kernel(x_ref, dz_ref, dw_ref, *, groups, clips, swap):
    """Adds a block's `shift(x)^T dz` `[C, K]`, or with `swap` `[K, C]`, to the sum."""

    @pl.when(pl.program_id(0) == 0)
    def _():
        dw_ref[...] = jnp.zeros_like(dw_ref)

    moved = _moved(x_ref[...], groups, clips)
    positions, rows, _ = x_ref.shape
    if swap:
        for s in range(positions):
            here = moved[s * rows : (s + 1) * rows]
            dw_ref[...] += _dot(dz_ref[s], here, (1, 0))
    else:
        dz = dz_ref[...].reshape(positions * rows, -1)
        dw_ref[...] += _dot(moved, dz, (0, 0))
