"""The TPU kernels' bodies. Every value in them is a tile `[N, C]` of float32."""

import functools
import operator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.interpolated.tpu_plan import SUBLANES, Plan

# Registers' worth of columns of the map that the compiler schedules together: with 32 the
# v5e schedule of a row needs half the cycles that it needs with 8.
UNROLL = 32


def _sum_taps(taps, tiles, whole: bool):
    """Sum of weight times tile; `whole`: the tile of the one tap that has a weight."""
    if whole:
        total = 0 * taps[0]  # nan where the shift is
        for weight, tile in zip(taps, tiles, strict=True):
            total = jnp.where(weight > 0, tile, total)
        return total
    products = (weight * tile for weight, tile in zip(taps, tiles, strict=True))
    return functools.reduce(operator.add, products)


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


def _columns(count: int, plan: Plan, body, carry=()):
    """`carry = body(i, carry)` for i in range(count), some at a time."""
    most = max(1, UNROLL * SUBLANES // plan.sublanes)
    unroll = max(d for d in range(1, most + 1) if count % d == 0)

    def some(i, carry):
        for j in range(unroll):
            carry = body(i * unroll + j, carry)
        return carry

    return jax.lax.fori_loop(0, count // unroll, some, carry)


def _each_row(refs, block, rows: int, halo: int, size: int, body) -> None:
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


def _fill(row_ref, tile_of, plan: Plan) -> None:
    def column(i, carry):
        row_ref[plan.reach[2] + i] = tile_of(i)
        return carry

    _columns(plan.sizes[1], plan, column)


def forward_kernel(aw, ah, at, *refs, plan: Plan, whole: bool):
    *x_refs, y_ref, u_ref, row_ref = refs

    def store(o, i, y):
        y_ref[0, o, i] = y.astype(y_ref.dtype)

    taps = (aw, ah, at)
    shift_rows(taps, x_refs, u_ref, row_ref, pl.program_id(2), plan, whole, store)


def shift_rows(taps, x_refs, u_ref, row_ref, block, plan: Plan, whole: bool, store):
    """`store(row, column, tile)` for each tile of a block of y, in float32."""
    aw, ah, at = taps
    height, (stride_h, stride_w) = plan.sizes[0], plan.stride
    _clear_borders(row_ref, plan.reach[2])
    _clear_halo(x_refs, u_ref, plan.reach[1])

    def in_row(tile_of, j, place):
        _fill(row_ref, tile_of, plan)

        def column(i, carry):
            tiles = [row_ref[i * stride_w + k] for k in range(aw.shape[0])]
            u_ref[place, i] = _sum_taps(_all(aw), tiles, whole)
            return carry

        _columns(plan.sizes_out[1], plan, column)

    _each_row(x_refs, block, plan.rows * stride_h, plan.reach[1], height, in_row)

    @pl.loop(0, plan.rows)
    def _(o):
        def column(i, carry):
            tiles = [u_ref[o * stride_h + k, i] for k in range(ah.shape[0])]
            frames = _turned(_sum_taps(_all(ah), tiles, whole), plan.reach[0], 1)
            store(o, i, _sum_taps(_all(at), frames, whole))
            return carry

        _columns(plan.sizes_out[1], plan, column)


def backward_kernel(*refs, plan: Plan, whole: bool):
    count = backward_taps(whole)
    taps, refs = refs[:count], refs[count:]
    halos = 3 if plan.blocks > 1 else 1
    x_count, dy_count = (halos if r[1] else 1 for r in (plan.reach, plan.back))
    x_refs, dy_refs, refs = refs[:x_count], refs[x_count:][:dy_count], refs[x_count:]
    dx_ref, parts_ref, *scratch = refs[dy_count:]
    block = pl.program_id(2)

    def each_dy_row(body):
        rows = (plan.rows, plan.back[1], plan.sizes_out[0])
        _each_row(dy_refs, block, *rows, body)

    sums = gradients(taps, x_refs, each_dy_row, dx_ref, scratch, block, plan, whole)

    @pl.when(block == 0)
    def _():
        parts_ref[...] = jnp.zeros_like(parts_ref)

    for axis, tile in enumerate(sums):
        parts_ref[0, axis] += jnp.sum(tile, axis=0)


def backward_taps(whole: bool) -> int:
    """Number of arrays of weights that `gradients` takes."""
    return 8 if whole else 5


def gradients(
    taps, x_refs, each_dy_row, dx_ref, scratch, block, plan, whole, shifted=None
):
    """Writes a block of dx; -> the shift's gradient as tiles whose rows are to be summed.

    The gradients share what they can, by moving each map to the other side. With A_t,
    A_h, A_w the interpolations and D_t, D_h, D_w their slopes in the shift: e = A_t' dy,
    m = A_h' e, dx = A_w' m; u = A_w x; and the shift's gradients are <D_t' dy, A_h u>,
    <e, D_h u> and <m, D_w x>.

    `shifted` is the weights along t and `store` of `shift_rows`, for y = A_t A_h u too, and with
    `whole` another scratch like u, where x is moved and not mixed.
    """
    aw, ah, pair_w, pair_h, pair_t, *whole_taps = taps
    u_ref, row_ref, dw_ref, e_ref, m_ref, dt_ref, *more = scratch
    # What dx is made of; with `whole` other weights than the shift's gradient.
    qw, qh, qt = whole_taps if whole else (aw, ah, None)
    eq_ref, mq_ref = more if whole else (e_ref, m_ref)
    frame_taps, store, uq_ref = shifted or (None, None, None)
    height, (stride_h, stride_w) = plan.sizes[0], plan.stride
    columns_out = plan.sizes_out[1]
    move = shifted is not None and whole
    _clear_borders(row_ref, plan.reach[2])
    _clear_borders(m_ref, plan.back[2])
    _clear_halo(x_refs, u_ref, plan.reach[1])
    if move:
        _clear_halo(x_refs, uq_ref, plan.reach[1])
    if plan.blocks == 1:
        _clear_borders(e_ref, plan.back[1])
    if whole:
        _clear_borders(mq_ref, plan.back[2])
        if plan.blocks == 1:
            _clear_borders(eq_ref, plan.back[1])

    def out_row(tile_of, j, place):
        def column(i, carry):
            frames = _turned(tile_of(i), plan.reach[0], -1)
            e_ref[place, i], slope = _pair(frames, pair_t)
            if j is not None:
                dt_ref[j, i] = slope
            if whole:
                eq_ref[place, i] = _sum_taps(_all(qt), frames, whole)
            return carry

        _columns(columns_out, plan, column)

    each_dy_row(out_row)

    def in_row(tile_of, j, place):
        _fill(row_ref, tile_of, plan)

        def column(i, carry):
            tiles = [row_ref[i * stride_w + k] for k in range(aw.shape[0])]
            u_ref[place, i], slope = _pair(tiles, pair_w)
            if j is not None:
                dw_ref[j, i] = slope
            if move:
                uq_ref[place, i] = _sum_taps(_all(qw), tiles, whole)
            return carry

        _columns(columns_out, plan, column)

    _each_row(x_refs, block, plan.rows * stride_h, plan.reach[1], height, in_row)

    def row(o, sums):
        def along_t_and_h(i, sums):
            tiles = [u_ref[o * stride_h + k, i] for k in range(ah.shape[0])]
            value, slope = _pair(tiles, pair_h)
            by_t, by_h, by_w = sums
            by_t += dt_ref[o, i] * value
            by_h += e_ref[plan.back[1] + o, i] * slope
            if move:
                tiles = [uq_ref[o * stride_h + k, i] for k in range(qh.shape[0])]
                value = _sum_taps(_all(qh), tiles, whole)
            if shifted:
                frames = _turned(value, plan.reach[0], 1)
                store(o, i, _sum_taps(_all(frame_taps), frames, whole))
            return by_t, by_h, by_w

        sums = _columns(columns_out, plan, along_t_and_h, sums)
        for phase in range(stride_h):
            j = o * stride_h + phase

            def along_w(i, sums, j=j, phase=phase):
                m = _transposed_row(ah, e_ref, o, i, phase, plan, False)
                m_ref[plan.back[2] + i] = m
                if whole:
                    m_whole = _transposed_row(qh, eq_ref, o, i, phase, plan, whole)
                    mq_ref[plan.back[2] + i] = m_whole
                return *sums[:2], sums[2] + m * dw_ref[j, i]

            sums = _columns(columns_out, plan, along_w, sums)
            _transposed_columns(qw, mq_ref, dx_ref, j, plan, whole)
        return sums

    nothing = jnp.zeros(row_ref.shape[1:], jnp.float32)
    return jax.lax.fori_loop(0, plan.rows, row, (nothing,) * 3)


def _phase_taps(count: int, stride: int, phase: int) -> list[tuple[int, int]]:
    """(tap, offset): place `o * stride + phase` was read through the tap by `o + offset`."""
    taps = [(k, phase - (k - count // 2)) for k in range(count)]
    return [(k, d // stride) for k, d in taps if d % stride == 0]


def _transposed_row(taps_ref, e_ref, o, column, phase: int, plan: Plan, whole: bool):
    """A tile of row `o * stride + phase` of A_h' e."""
    taps = _phase_taps(taps_ref.shape[0], plan.stride[0], phase)
    if not taps:
        return jnp.zeros(e_ref.shape[2:], jnp.float32)
    tiles = [e_ref[plan.back[1] + o + d, column] for _, d in taps]
    return _sum_taps([taps_ref[k] for k, _ in taps], tiles, whole)


def _transposed_columns(taps_ref, m_ref, dx_ref, j, plan: Plan, whole: bool):
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

        _columns(-(-(width - phase) // stride), plan, column)
