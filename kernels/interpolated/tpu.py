"""The interpolated shift on a TPU: Pallas kernels that read each byte about once.

Inside, features are `[G, H, W, N, C]`: rows and columns of the map are plain indices, so
a spatial tap is a load from elsewhere in VMEM; the N frames of a group of clips lie in
sublanes, so a temporal tap is a rotation of sublanes whose weights are zero where a clip
ends; channels lie in lanes, so each has its own weights. With 8 frames that is the order
in which XLA by itself keeps such features between 1x1 convolutions, and the transposes
around the kernels then move nothing.

The taps of an axis are a window of `2 * ceil(max_shift) + 1` multiply-adds. Rows of the
map come in blocks, with the rows that the window reads beyond them as blocks of their own.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from kernels.interpolated.taps import hat, nearest, out_sizes, reach

LANES, SUBLANES = 128, 8
# Of v5e's and v6e's 128 MiB; v7x has 64.
VMEM_BYTES = 48 * 2**20
# What memory could move while a grid step starts (about 0.35 us).
STEP_BYTES = 300_000
UNROLL = 32


def missing(shape, max_shift):
    """What keeps a call from running here, or None."""
    if max_shift is None:
        return "needs max_shift: its work and its halo are those of a bounded window"
    try:
        _plan(shape, 4, (1, 1, 1), max_shift, backward=True)
    except ValueError as error:
        return str(error)
    return None


def forward(x, shift, *, stride, max_shift, whole):
    """As `xla.forward`."""
    frame_stride, stride = stride[0], (1, *stride[1:])
    plan = _plan(x.shape, x.dtype.itemsize, stride, max_shift, backward=False)
    s = nearest(shift) if whole else shift
    taps = [
        _map_taps(s[2], plan.reach[2], plan),
        _map_taps(s[1], plan.reach[1], plan),
        _frame_taps(s[0], plan, towards=1),
    ]
    y = _call(
        functools.partial(_forward_kernel, plan=plan, whole=whole),
        "shift3d_forward_pallas_tpu",
        plan,
        taps,
        inputs=[_Rows(_grouped(x, plan), plan.rows * stride[1], plan.reach[1])],
        outputs=[(plan.sizes_out, plan.rows, x.dtype)],
        scratch=[
            (plan.rows * stride[1] + 2 * plan.reach[1], plan.sizes_out[1]),
            (plan.sizes[1] + 2 * plan.reach[2],),
        ],
        flops_an_element=4 * (sum(plan.reach) + 3),
    )[0]
    return _ungrouped(y, plan)[:, ::frame_stride]


def backward(x, shift, dy, *, stride, max_shift, whole):
    """As `xla.backward`; the shift's gradient comes in one part a group of clips."""
    frame_stride, stride = stride[0], (1, *stride[1:])
    plan = _plan(x.shape, x.dtype.itemsize, stride, max_shift, backward=True)
    if frame_stride > 1:
        dy = jax.lax.pad(
            dy,
            jnp.zeros((), dy.dtype),
            [
                (0, 0, 0),
                (
                    0,
                    x.shape[1] - (dy.shape[1] - 1) * frame_stride - 1,
                    frame_stride - 1,
                ),
                *[(0, 0, 0)] * 3,
            ],
        )
    taps = [
        _map_taps(shift[2], plan.reach[2], plan),
        _map_taps(shift[1], plan.reach[1], plan),
        _map_pair(shift[2], plan.reach[2], plan),
        _map_pair(shift[1], plan.reach[1], plan),
        _frame_pair(shift[0], plan),
    ]
    if whole:
        s = nearest(shift)
        taps += [
            _map_taps(s[2], plan.reach[2], plan),
            _map_taps(s[1], plan.reach[1], plan),
            _frame_taps(s[0], plan, towards=-1),
        ]
    rows_in = plan.rows * stride[1]
    columns = plan.sizes_out[1]
    e, m = (plan.rows + 2 * plan.back[1], columns), (columns + 2 * plan.back[2],)
    dx, parts = _call(
        functools.partial(_backward_kernel, plan=plan, whole=whole),
        "shift3d_backward_pallas_tpu",
        plan,
        taps,
        inputs=[
            _Rows(_grouped(x, plan), rows_in, plan.reach[1]),
            _Rows(_grouped(dy, plan), plan.rows, plan.back[1]),
        ],
        outputs=[(plan.sizes, rows_in, x.dtype), None],
        scratch=[
            (rows_in + 2 * plan.reach[1], columns),  # u
            (plan.sizes[1] + 2 * plan.reach[2],),  # a row of x
            (rows_in, columns),  # D_w x
            e,
            m,
            (plan.rows, columns),  # D_t' dy
            *([e, m] if whole else []),
        ],
        flops_an_element=20 * (sum(plan.reach) + 3),
    )
    return _ungrouped(dx, plan), parts


# How a call is cut into blocks.


class _Plan(NamedTuple):
    batch: int
    frames: int
    channels: int
    sizes: tuple[int, int]  # H, W
    sizes_out: tuple[int, int]
    stride: tuple[int, int]  # of h, w
    reach: tuple[int, int, int]  # of x from a place of y: t, h, w
    back: tuple[int, int, int]  # of dy from a place of dx
    clips: int  # in a group
    clip_rows: int  # sublanes of a clip: its frames, or more
    rows: int  # of y in a block

    @property
    def groups(self) -> int:
        return -(-self.batch // self.clips)

    @property
    def sublanes(self) -> int:
        return self.clips * self.clip_rows

    @property
    def blocks(self) -> int:
        return -(-self.sizes_out[0] // self.rows)


def _plan(shape, itemsize, stride, max_shift, *, backward: bool) -> _Plan:
    batch, frames, height, width, channels = shape
    window = reach(max_shift, shape[1:4])
    back = tuple(-(-r // st) for r, st in zip(window, stride, strict=True))
    # Whole tiles of sublanes: several clips side by side, or frames of zeros at the end.
    together = SUBLANES // math.gcd(frames, SUBLANES)
    padded = -(-frames // SUBLANES) * SUBLANES
    if -(-batch // together) * together * frames <= batch * padded:
        clips, clip_rows = together, frames
    else:
        clips, clip_rows = 1, padded
    sizes_out = out_sizes((height, width), stride[1:])
    plan = _Plan(
        batch,
        frames,
        channels,
        (height, width),
        sizes_out,
        stride[1:],
        window,
        back,
        clips,
        clip_rows,
        rows=sizes_out[0],
    )
    # A block's rows are whole multiples of its halo's.
    step = 1
    if window[1]:
        step = math.lcm(window[1], window[1] // math.gcd(window[1], stride[1]))
        step = math.lcm(step, back[1]) if backward else step
    choices = {step * n for n in range(1, -(-sizes_out[0] // step) + 1)}
    plans = [plan._replace(rows=rows) for rows in choices | {sizes_out[0]}]
    fitting = [p for p in plans if _vmem(p, itemsize, backward) <= VMEM_BYTES]
    if not fitting:
        raise ValueError(
            f"has no room in VMEM for {width} columns x {plan.sublanes} frames with "
            f"max_shift reaching {window}"
        )
    return min(fitting, key=lambda p: _cost(p, itemsize, backward))


def _blocks(plan: _Plan, itemsize: int, backward: bool) -> int:
    """Bytes that a grid step fetches and stores."""
    rows_in = plan.rows * plan.stride[0]
    halo_in, halo_out = (2 * r[1] * (plan.blocks > 1) for r in (plan.reach, plan.back))
    x, y = rows_in + halo_in, plan.rows
    if backward:
        x, y = x + rows_in, y + halo_out
    columns = x * plan.sizes[1] + y * plan.sizes_out[1]
    return columns * plan.sublanes * LANES * itemsize


def _cost(plan: _Plan, itemsize: int, backward: bool) -> float:
    """In bytes: what is moved, the first block, which nothing overlaps, and the steps."""
    steps = plan.groups * -(-plan.channels // LANES) * plan.blocks
    return (steps + 1) * _blocks(plan, itemsize, backward) + steps * STEP_BYTES


def _vmem(plan: _Plan, itemsize: int, backward: bool) -> int:
    """Bytes that a grid step holds: its blocks twice, and the rows kept in float32."""
    rows_in = plan.rows * plan.stride[0]
    kept = rows_in + 2 * plan.reach[1]
    if backward:
        kept += rows_in + 2 * (plan.rows + 2 * plan.back[1]) + plan.rows
    scratch = kept * plan.sizes_out[1] * plan.sublanes * LANES * 4
    return 2 * _blocks(plan, itemsize, backward) + scratch


def _grouped(x, plan: _Plan):
    """`[B, T, H, W, C]` -> `[G, H, W, N, C]`; clips and frames that pad are zero."""
    pads = [
        (0, plan.groups * plan.clips - plan.batch),
        (0, plan.clip_rows - plan.frames),
        *[(0, 0)] * 3,
    ]
    x = jnp.pad(x, pads) if any(map(any, pads)) else x
    _, t, h, w, c = x.shape
    x = x.reshape(plan.groups, plan.clips, t, h, w, c)
    return x.transpose(0, 3, 4, 1, 2, 5).reshape(plan.groups, h, w, plan.sublanes, c)


def _ungrouped(x, plan: _Plan):
    g, h, w, _, c = x.shape
    x = x.reshape(g, h, w, plan.clips, plan.clip_rows, c).transpose(0, 3, 4, 1, 2, 5)
    x = x.reshape(g * plan.clips, plan.clip_rows, h, w, c)
    return x[: plan.batch, : plan.frames]


# Weights: tiles `[N, C]`, one a tap.


def _map_taps(shift, reach, plan: _Plan):
    """The hat's weights of the taps of a window along h or w."""
    k = jnp.arange(-reach, reach + 1, dtype=shift.dtype)[:, None]
    return _tiles(hat(shift[None], k), plan)


def _frame_taps(shift, plan: _Plan, *, towards: int):
    """Those along t: zero where frame n + towards * k is not in the clip of frame n."""
    k = jnp.arange(-plan.reach[0], plan.reach[0] + 1, dtype=shift.dtype)
    taps = hat(shift[None], k[:, None])
    return taps[:, None] * _inside(towards * k[:, None], plan)[..., None]


def _map_pair(shift, reach, plan: _Plan):
    """What `_pair` needs: the lower of its two taps, and both weights."""
    low = _lower_tap(shift, reach)
    return _tiles(jnp.stack([low, 1 - (shift - low), shift - low]), plan)


def _frame_pair(shift, plan: _Plan):
    """The same along t, backwards, with the weights of a value and those of a slope."""
    low = _lower_tap(shift, plan.reach[0])
    first, second = (_inside(-(low + d), plan).T for d in (0, 1))
    weights = [(1 - (shift - low)) * first, (shift - low) * second, -first, second]
    return jnp.stack([jnp.broadcast_to(low, first.shape), *weights])


def _lower_tap(shift, reach):
    """floor, but for a shift at the window's end, whose upper tap is its last."""
    return jnp.clip(jnp.floor(shift), -reach, max(reach - 1, -reach))


def _inside(offset, plan: _Plan):
    """1 where frame n + offset is in the clip of frame n: `[..., N]`, or `[C, N]`."""
    n = jnp.arange(plan.sublanes) % plan.clip_rows
    read = n + offset if offset.ndim == 2 else n[None] + offset[:, None]
    return ((read >= 0) & (read < plan.clip_rows)).astype(jnp.float32)


def _tiles(weights, plan: _Plan):
    return jnp.broadcast_to(
        weights[:, None], (len(weights), plan.sublanes, plan.channels)
    )


# The kernels. Every value in them is a tile `[N, C]` of float32.


def _sum_taps(taps, tiles, whole: bool):
    """Sum of weight times tile; `whole`: the tile of the one tap that has a weight."""
    total = None
    for weight, tile in zip(taps, tiles, strict=True):
        if whole:
            zero = jnp.zeros_like(tile) if total is None else total
            total = jnp.where(weight != 0, tile, zero)
        else:
            total = weight * tile if total is None else total + weight * tile
    return total


def _all(ref):
    return [ref[k] for k in range(ref.shape[0])]


def _pair(tiles, pair_ref):
    """The interpolation between two neighbouring tiles, and its slope.

    The tiles are those of a whole window; each channel selects its own two. With both
    results wanted this is half the work of two sums over the window.
    """
    low, first, second, *slopes = _all(pair_ref)
    last = len(tiles) // 2 - 1  # the highest of the lower taps
    if last < 0:  # a bound of zero: nothing to interpolate, and no gradient
        return tiles[0], jnp.zeros_like(tiles[0])
    p, q = tiles[-2:]
    for k in range(-last - 1, last):
        p = jnp.where(low == k, tiles[k + last + 1], p)
        q = jnp.where(low == k, tiles[k + last + 2], q)
    slope = slopes[0] * p + slopes[1] * q if slopes else q - p
    return first * p + second * q, slope


def _turned(tile, window: int, towards: int):
    """For the taps k of a window: the tile whose row n is row n + towards * k."""
    sublanes = tile.shape[0]
    return [
        pltpu.roll(tile, -towards * k % sublanes, 0) if k % sublanes else tile
        for k in range(-window, window + 1)
    ]


def _loop(count: int, body, carry=()):
    """`carry = body(i, carry)` for i in range(count), some at a time."""
    unroll = max(d for d in range(1, UNROLL + 1) if count % d == 0)

    def some(i, carry):
        for j in range(unroll):
            carry = body(i * unroll + j, carry)
        return carry

    return jax.lax.fori_loop(0, count // unroll, some, carry)


def _each_row(refs, block: int, rows: int, halo: int, size: int, body) -> None:
    """`body(tile_of, j, place)` for a block's rows and for those its window reads beyond.

    `tile_of(column)` is the row's tile in float32, zero outside the map; `place` counts
    from the first row of the halo; `j` is the number in the block, or None in the halo.
    """
    main = len(refs) // 2
    parts = [(refs[main], rows, halo, size % rows > 0)]
    if main:
        parts += [(refs[0], halo, 0, True), (refs[2], halo, halo + rows, True)]
    for ref, count, start, partly in parts:

        @pl.loop(0, count)
        def _(j, ref=ref, start=start, partly=partly):
            number = block * rows - halo + start + j
            inside = (number >= 0) & (number < size)

            def tile_of(column):
                tile = ref[0, j, column].astype(jnp.float32)
                return jnp.where(inside, tile, 0) if partly else tile

            body(tile_of, j if ref is refs[main] else None, start + j)


def _clear_borders(row_ref, border: int) -> None:
    zero = jnp.zeros(row_ref.shape[1:], row_ref.dtype)
    for i in range(border):
        row_ref[i] = zero
        row_ref[row_ref.shape[0] - 1 - i] = zero


def _clear_halo(refs, rows_ref, halo: int) -> None:
    """Beyond a map that is one block everything is zero."""
    if len(refs) == 1:
        _clear_borders(rows_ref, halo)


def _fill(row_ref, start: int, count: int, tile_of) -> None:
    def column(i, carry):
        row_ref[start + i] = tile_of(i)
        return carry

    _loop(count, column)


def _forward_kernel(aw, ah, at, *refs, plan: _Plan, whole: bool):
    *x_refs, y_ref, u_ref, row_ref = refs
    (height, width), (stride_h, stride_w) = plan.sizes, plan.stride
    _clear_borders(row_ref, plan.reach[2])
    _clear_halo(x_refs, u_ref, plan.reach[1])

    def in_row(tile_of, j, place):
        _fill(row_ref, plan.reach[2], width, tile_of)

        def column(i, carry):
            tiles = [row_ref[i * stride_w + k] for k in range(aw.shape[0])]
            u_ref[place, i] = _sum_taps(_all(aw), tiles, whole)
            return carry

        _loop(plan.sizes_out[1], column)

    _each_row(
        x_refs, pl.program_id(2), plan.rows * stride_h, plan.reach[1], height, in_row
    )

    @pl.loop(0, plan.rows)
    def _(o):
        def column(i, carry):
            tiles = [u_ref[o * stride_h + k, i] for k in range(ah.shape[0])]
            frames = _turned(_sum_taps(_all(ah), tiles, whole), plan.reach[0], 1)
            y_ref[0, o, i] = _sum_taps(_all(at), frames, whole).astype(y_ref.dtype)
            return carry

        _loop(plan.sizes_out[1], column)


def _backward_kernel(aw, ah, pair_w, pair_h, pair_t, *refs, plan: _Plan, whole: bool):
    """The gradients share what they can, by moving each map to the other side.

    With A_t, A_h, A_w the interpolations and D_t, D_h, D_w their slopes in the shift:
    e = A_t' dy, m = A_h' e, dx = A_w' m; u = A_w x; and the shift's gradients are
    <D_t' dy, A_h u>, <e, D_h u> and <m, D_w x>.
    """
    qw, qh, qt = refs[:3] if whole else (aw, ah, None)
    refs = refs[3:] if whole else refs
    halos = 3 if plan.blocks > 1 else 1
    x_count, dy_count = (halos if r[1] else 1 for r in (plan.reach, plan.back))
    x_refs, dy_refs, refs = refs[:x_count], refs[x_count:][:dy_count], refs[x_count:]
    dx_ref, parts_ref, u_ref, row_ref, dw_ref, e_ref, m_ref, dt_ref, *more = refs[
        dy_count:
    ]
    # What dx is made of; with `whole` other weights than the shift's gradient.
    eq_ref, mq_ref = more if whole else (e_ref, m_ref)
    (height, width), (stride_h, stride_w) = plan.sizes, plan.stride
    rows_out, columns_out = plan.sizes_out
    block = pl.program_id(2)
    _clear_borders(row_ref, plan.reach[2])
    _clear_borders(m_ref, plan.back[2])
    _clear_halo(x_refs, u_ref, plan.reach[1])
    _clear_halo(dy_refs, e_ref, plan.back[1])
    if whole:
        _clear_borders(mq_ref, plan.back[2])
        _clear_halo(dy_refs, eq_ref, plan.back[1])

    def out_row(tile_of, j, place):
        def column(i, carry):
            frames = _turned(tile_of(i), plan.reach[0], -1)
            e_ref[place, i], slope = _pair(frames, pair_t)
            if j is not None:
                dt_ref[j, i] = slope
            if whole:
                eq_ref[place, i] = _sum_taps(_all(qt), frames, whole)
            return carry

        _loop(columns_out, column)

    _each_row(dy_refs, block, plan.rows, plan.back[1], rows_out, out_row)

    def in_row(tile_of, j, place):
        _fill(row_ref, plan.reach[2], width, tile_of)

        def column(i, carry):
            tiles = [row_ref[i * stride_w + k] for k in range(aw.shape[0])]
            u_ref[place, i], slope = _pair(tiles, pair_w)
            if j is not None:
                dw_ref[j, i] = slope
            return carry

        _loop(columns_out, column)

    _each_row(x_refs, block, plan.rows * stride_h, plan.reach[1], height, in_row)

    def row(o, sums):
        def along_t_and_h(i, sums):
            tiles = [u_ref[o * stride_h + k, i] for k in range(ah.shape[0])]
            value, slope = _pair(tiles, pair_h)
            by_t, by_h, by_w = sums
            by_t += dt_ref[o, i] * value
            by_h += e_ref[plan.back[1] + o, i] * slope
            return by_t, by_h, by_w

        sums = _loop(columns_out, along_t_and_h, sums)
        for phase in range(stride_h):
            j = o * stride_h + phase

            def along_w(i, sums, j=j, phase=phase):
                m = _transposed_row(ah, e_ref, o, i, phase, plan, False)
                m_ref[plan.back[2] + i] = m
                if whole:
                    m_whole = _transposed_row(qh, eq_ref, o, i, phase, plan, whole)
                    mq_ref[plan.back[2] + i] = m_whole
                return *sums[:2], sums[2] + m * dw_ref[j, i]

            sums = _loop(columns_out, along_w, sums)
            _transposed_columns(qw, mq_ref, dx_ref, j, plan, whole)
        return sums

    nothing = jnp.zeros(row_ref.shape[1:], jnp.float32)
    sums = jax.lax.fori_loop(0, plan.rows, row, (nothing,) * 3)

    @pl.when(block == 0)
    def _():
        parts_ref[...] = jnp.zeros_like(parts_ref)

    for axis, tile in enumerate(sums):
        parts_ref[0, axis] += jnp.sum(tile, axis=0)


def _phase_taps(count: int, stride: int, phase: int) -> list[tuple[int, int]]:
    """(tap, offset): place `o * stride + phase` was read through the tap by `o + offset`."""
    taps = [(k, phase - (k - count // 2)) for k in range(count)]
    return [(k, d // stride) for k, d in taps if d % stride == 0]


def _transposed_row(taps_ref, e_ref, o, column, phase: int, plan: _Plan, whole: bool):
    """A tile of row `o * stride + phase` of A_h' e."""
    taps = _phase_taps(taps_ref.shape[0], plan.stride[0], phase)
    if not taps:
        return jnp.zeros(e_ref.shape[2:], jnp.float32)
    tiles = [e_ref[plan.back[1] + o + d, column] for _, d in taps]
    return _sum_taps([taps_ref[k] for k, _ in taps], tiles, whole)


def _transposed_columns(taps_ref, m_ref, dx_ref, j, plan: _Plan, whole: bool):
    """dx: row j of A_w' m."""
    stride, width = plan.stride[1], plan.sizes[1]
    for phase in range(min(stride, width)):
        taps = _phase_taps(taps_ref.shape[0], stride, phase)

        def column(o, carry, phase=phase, taps=taps):
            dx = jnp.zeros(m_ref.shape[1:], jnp.float32)
            if taps:
                tiles = [m_ref[plan.back[2] + o + d] for _, d in taps]
                dx = _sum_taps([taps_ref[k] for k, _ in taps], tiles, whole)
            dx_ref[0, j, o * stride + phase] = dx.astype(dx_ref.dtype)
            return carry

        _loop(-(-(width - phase) // stride), column)


# The call.


class _Rows(NamedTuple):
    """An input in blocks of rows, with the rows of its halo before and after."""

    array: jax.Array
    rows: int
    halo: int


def _call(kernel, name, plan, taps, *, inputs, outputs, scratch, flops_an_element):
    lanes = min(LANES, plan.channels)
    tile = (plan.sublanes, lanes)
    specs, arrays = [], []
    for weights in taps:
        specs.append(pl.BlockSpec((len(weights), *tile), lambda g, c, h: (0, 0, c)))
        arrays.append(weights)
    for array, rows, halo in inputs:
        height, width = array.shape[1:3]

        def spec(rows, row_block, width=width):
            return pl.BlockSpec(
                (1, rows, width, *tile), lambda g, c, h: (g, row_block(h), 0, 0, c)
            )

        halos = []
        if plan.blocks > 1 and halo:
            each, last = rows // halo, -(-height // halo) - 1
            halos = [
                spec(halo, lambda h, each=each: jnp.maximum(h * each - 1, 0)),
                spec(
                    halo,
                    lambda h, each=each, last=last: jnp.minimum((h + 1) * each, last),
                ),
            ]
        main = spec(rows, lambda h: h)
        these = [halos[0], main, halos[1]] if halos else [main]
        specs += these
        arrays += [array] * len(these)
    out_specs, out_shapes = [], []
    for output in outputs:
        if output is None:  # the parts of the shift's gradient
            out_specs.append(pl.BlockSpec((1, 3, lanes), lambda g, c, h: (g, 0, c)))
            shape, dtype = (plan.groups, 3, plan.channels), jnp.float32
        else:
            (height, width), rows, dtype = output
            out_specs.append(
                pl.BlockSpec((1, rows, width, *tile), lambda g, c, h: (g, h, 0, 0, c))
            )
            shape = (plan.groups, height, width, plan.sublanes, plan.channels)
        out_shapes.append(jax.ShapeDtypeStruct(shape, dtype))
    moved = [i.array for i in inputs] + out_shapes
    return pl.pallas_call(
        kernel,
        grid=(plan.groups, -(-plan.channels // LANES), plan.blocks),
        in_specs=specs,
        out_specs=out_specs,
        out_shape=out_shapes,
        scratch_shapes=[pltpu.VMEM((*s, *tile), jnp.float32) for s in scratch],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            vmem_limit_bytes=VMEM_BYTES + 16 * 2**20,
        ),
        cost_estimate=pl.CostEstimate(
            flops=flops_an_element * inputs[0].array.size,
            transcendentals=0,
            bytes_accessed=sum(a.size * a.dtype.itemsize for a in moved),
        ),
        name=name,
    )(*arrays)
