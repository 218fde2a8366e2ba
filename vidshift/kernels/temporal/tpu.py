"""The temporal shift on a TPU, by Pallas: alone, and in the product after it.

Features are `[H, W, N, C]` (`vidshift.kernels.frames`): a block is a few positions with all their
frames, so a move by one frame is a rotation of rows in VMEM, and only the lanes with
channels that move take part. Clips `[B, T, ..., C]` are turned into that order first.

An array with fewer than 128 channels XLA keeps with N in lanes, where that fills them:
the kernels read and write it so (`swap`), and no copy stands between them and XLA.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.temporal import tpu_kernels
from vidshift.kernels.temporal.arguments import Move, TemporalSpec
from vidshift.kernels.temporal.tpu_kernels import LANES

# VMEM that a kernel reserves is VMEM that XLA cannot use for activations, so blocks are no
# larger than hides the time to fetch them.
BLOCK_BYTES = 2**20
KERNEL_BYTES = 12 * 2**20  # of VMEM, for all of a kernel's blocks and sums
# Of v5e and v6e: XLA keeps features there where they fit, and reads them from memory
# where they do not.
VMEM_BYTES = 128 * 2**20


def unsupported(x, spec: TemporalSpec) -> str | None:
    """The reason why a call cannot run here, or None."""
    move, out_channels = spec.move, spec.out_channels
    rows = _rows(x.shape, move)
    tile = 32 // x.dtype.itemsize
    if rows % tile:
        return (
            f"needs frames x clips in whole tiles of {tile} rows for {x.dtype}, "
            f"got {rows} rows on a device"
        )
    channels = x.shape[-1]
    wide = max(channels, out_channels)
    if rows * _lanes(wide) * x.dtype.itemsize > 2 * BLOCK_BYTES:
        return (
            f"has blocks of one position with all its frames: {rows} rows of {wide} "
            "channels do not fit"
        )
    if 2 * 4 * _lanes(channels) * _lanes(out_channels) > KERNEL_BYTES:
        return f"keeps the weights in VMEM: {channels} x {out_channels} do not fit"
    return None


def shift(x, *, move: Move):
    """Computes `reference.shift`, bit for bit."""
    clips, (x,), back = _in_frames(move, x)
    kernel = functools.partial(
        tpu_kernels.shift_kernel, groups=_groups(move), clips=clips
    )
    y = _call(kernel, "forward", [(x, False)], [], (x.shape, x.dtype, False), flops=0)
    return back(y)


def conv(x, weight, scale, bias, *, relu: bool, move: Move):
    """Computes `reference.conv`."""
    clips, (x,), back = _in_frames(move, x)
    k = weight.shape[1]
    swap = _swapped(x.shape[2], k)
    scale = jnp.ones(k) if scale is None else scale
    bias = jnp.zeros(k) if bias is None else bias
    per_channel = (k, 1) if swap else (1, k)
    whole = [
        (weight.T if swap else weight).astype(x.dtype),
        scale.astype(jnp.float32).reshape(per_channel),
        bias.astype(jnp.float32).reshape(per_channel),
    ]
    kernel = functools.partial(
        tpu_kernels.conv_kernel,
        groups=_groups(move),
        clips=clips,
        relu=relu,
        swap=swap,
    )
    out = ((*x.shape[:-1], k), x.dtype, swap)
    flops = 2 * x.shape[-1] * k
    return back(_call(kernel, "conv_forward", [(x, False)], whole, out, flops=flops))


def conv_dx(dz, weight, *, move: Move):
    """Computes `reference.conv_dx`."""
    clips, (dz,), back = _in_frames(move, dz)
    c, k = weight.shape
    swap = _swapped(dz.shape[2], k)
    kernel = functools.partial(
        tpu_kernels.conv_dx_kernel,
        groups=_groups(move._replace(reverse=not move.reverse)),
        clips=clips,
        swap=swap,
    )
    out = ((*dz.shape[:-1], c), dz.dtype, False)
    whole = [weight.astype(dz.dtype)]
    return back(_call(kernel, "conv_dx", [(dz, swap)], whole, out, flops=2 * c * k))


def conv_dw(x, dz, *, move: Move):
    """Computes `reference.conv_dw`."""
    clips, (x, dz), _ = _in_frames(move, x, dz)
    c, k = x.shape[-1], dz.shape[-1]
    swap = _swapped(dz.shape[2], k)
    kernel = functools.partial(
        tpu_kernels.conv_dw_kernel, groups=_groups(move), clips=clips, swap=swap
    )
    out = ((k, c) if swap else (c, k), jnp.float32, None)
    arrays = [(x, False), (dz, swap)]
    dw = _call(kernel, "conv_dw", arrays, [], out, flops=2 * c * k)
    return (dw.T if swap else dw)[None]


def _call(kernel, name: str, arrays, whole, out, *, flops: int):
    """Runs a kernel in one pass over positions.

    Args:
      arrays: `(array [H, W, N, C], whether its positions are [C, N])`.
      whole: arrays that every block needs, of two dimensions.
      out: (shape, dtype, swap) of the result, or (shape, dtype, None) where blocks add up
        to one result.
      flops: for each row.
    """
    height, width, rows, _ = arrays[0][0].shape
    positions = height * width
    shape, dtype, swap_out = out
    widest = max(_lanes(s[-1]) for s in (shape, *(a.shape for a, _ in arrays)))
    most = max(1, BLOCK_BYTES // (rows * widest * arrays[0][0].dtype.itemsize))
    size = max(n for n in range(1, most + 1) if positions % n == 0)

    def flat(shape, swap):
        n, c = shape[-2:]
        return (positions, c, n) if swap else (positions, n, c)

    def block(shape, swap):
        return pl.BlockSpec((size, *flat(shape, swap)[1:]), lambda i: (i, 0, 0))

    def one(shape):
        return pl.BlockSpec(shape, lambda i: (0, 0))

    inputs = [a.reshape(positions, *a.shape[2:]) for a, _ in arrays]
    inputs = [
        a.swapaxes(1, 2) if swap else a
        for a, (_, swap) in zip(inputs, arrays, strict=True)
    ]
    sums = swap_out is None
    out_shape = shape if sums else flat(shape, swap_out)
    moved = [*inputs, *whole, jax.ShapeDtypeStruct(out_shape, dtype)]
    y = pl.pallas_call(
        kernel,
        grid=(positions // size,),
        in_specs=[
            *(block(a.shape, swap) for a, swap in arrays),
            *(one(w.shape) for w in whole),
        ],
        out_specs=one(shape) if sums else block(shape, swap_out),
        out_shape=jax.ShapeDtypeStruct(out_shape, dtype),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("arbitrary" if sums else "parallel",),
            vmem_limit_bytes=KERNEL_BYTES,
        ),
        cost_estimate=pl.CostEstimate(
            flops=flops * positions * rows,
            bytes_accessed=sum(a.size * a.dtype.itemsize for a in moved),
            transcendentals=0,
        ),
        name=f"temporal_shift_{name}_pallas_tpu",
    )(*inputs, *whole)
    if sums:
        return y
    return (y.swapaxes(1, 2) if swap_out else y).reshape(shape)


def _in_frames(move: Move, *arrays):
    """Returns clips side by side, the arrays `[H, W, N, C]`, and a result's way back."""
    if move.frames is not None:
        return move.clips_of_part(arrays[0].shape[2]), arrays, lambda y: y
    batch, frames, *space, _ = arrays[0].shape

    def there(x):
        x = x.reshape(batch, frames, -1, x.shape[-1]).transpose(2, 1, 0, 3)
        return x.reshape(-1, 1, frames * batch, x.shape[-1])

    def back(y):
        y = y.reshape(-1, frames, batch, y.shape[-1]).transpose(2, 1, 0, 3)
        return y.reshape(batch, frames, *space, y.shape[-1])

    return batch, tuple(map(there, arrays)), back


def _rows(shape, move: Move) -> int:
    """Rows of a position on one device."""
    return shape[0] * shape[1] if move.frames is None else shape[2] // move.parts


def _groups(move: Move):
    return tuple(move.groups())


def _swapped(rows: int, channels: int) -> bool:
    return channels < LANES and rows % LANES == 0


def _lanes(channels: int) -> int:
    return -(-channels // LANES) * LANES
