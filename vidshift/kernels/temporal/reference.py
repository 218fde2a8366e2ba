"""The temporal shift, and the 1x1 convolution of its result, in plain operations.

Selects between moved copies of all channels instead of slicing channels: XLA computes
the selection while it reads the features for whatever comes next, and on a TPU feeds the
matrix unit with it, where slices of channels that do not fill lanes are each written to
memory first.
"""

import jax
import jax.numpy as jnp

from vidshift.kernels.temporal.arguments import Move


def shift(x, *, move: Move):
    """Channels `[0, fold)` take another frame, and so on; see `temporal_shift`."""
    channel = jax.lax.broadcasted_iota(
        jnp.int32, (1,) * (x.ndim - 1) + x.shape[-1:], x.ndim - 1
    )
    y = x
    for end, step in reversed(move.groups()):
        y = jnp.where(channel < end, other_frame(x, step, move), y)
    return y


def other_frame(x, step: int, move: Move):
    """All channels of frame t + step, zero outside the clip."""
    if move.frames is None:
        return _moved(x, 1, step)
    clips = move.clips_of_part(x.shape[2])
    if move.parts == 1:
        return _moved(x, 2, step * clips)
    # Frames of several devices' parts, and no device's own to be had alone.
    sizes = (move.parts, move.frames, clips)
    apart = x.reshape(*x.shape[:2], *sizes, x.shape[3])
    return _moved(apart, 3, step).reshape(x.shape)


def _moved(x, axis: int, by):
    """`y[i] = x[i + by]` along an axis, zero beyond its ends."""
    by = max(-x.shape[axis], min(by, x.shape[axis]))
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (-by, by, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), padding)


def product(x, weight):
    """`[..., C] @ [C, K]` of x's dtype, which the backends sum in float32 at least.

    Rounded before what follows, as a convolution is before its norm: asked for in
    float32, XLA on a TPU leaves it less of VMEM for what it keeps there.
    """
    contract = (((x.ndim - 1,), (0,)), ((), ()))
    return jax.lax.dot_general(x, weight.astype(x.dtype), contract)


def conv(x, weight, scale, bias, *, relu: bool, move: Move):
    """`relu(scale * (shift(x) @ weight) + bias)`; scale and bias may be None."""
    y = product(shift(x, move=move), weight)
    wide = y.astype(jnp.promote_types(x.dtype, jnp.float32))
    per_channel = (1,) * (y.ndim - 1) + (-1,)
    if scale is not None:
        wide = wide * scale.astype(wide.dtype).reshape(per_channel)
    if bias is not None:
        wide = wide + bias.astype(wide.dtype).reshape(per_channel)
    y = wide.astype(x.dtype)
    return jax.nn.relu(y) if relu else y


def conv_dx(dz, weight, *, move: Move):
    """`dz @ weight^T`, moved back."""
    dx = product(dz, weight.T)
    return shift(dx, move=move._replace(reverse=not move.reverse))


def conv_dx_of_moved(dz, weight, *, move: Move):
    """`conv_dx` as one product of dz at each of the frames that it is read at.

    The channels of dx differ in the frame of dz that they read: with moved copies of dz
    side by side, and weights that are zero for the channels of the other copies, the
    product's result is dx in place. XLA on a TPU computes it with what comes after, where
    a shift of the result would be a pass over memory; dz has a quarter of dx's channels.
    """
    channels = jnp.arange(weight.shape[0])
    back = move._replace(reverse=not move.reverse)
    copies, weights, start = [], [], 0
    for end, step in [*back.groups(), (weight.shape[0], 0)]:
        chosen = ((channels >= start) & (channels < end))[None]
        weights.append(jnp.where(chosen, weight.T, 0))
        copies.append(other_frame(dz, step, move) if step else dz)
        start = end
    return product(jnp.concatenate(copies, -1), jnp.concatenate(weights, 0))


def conv_dx_on_tpu(dz, weight, *, move: Move):
    """`conv_dx`, of clips or of frames, by the form that costs a TPU least."""
    function = conv_dx if move.frames is None else conv_dx_of_moved
    return function(dz, weight, move=move)


def conv_dw(x, dz, *, move: Move):
    """`shift(x)^T dz` summed over all rows, `[1, C, K]` in the type of the sums."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    rows = tuple(range(x.ndim - 1))
    moved = shift(x, move=move)
    dw = jax.lax.dot_general(
        moved, dz, ((rows, rows), ((), ())), preferred_element_type=wide
    )
    return dw[None]
