"""Triton programs of the interpolated shift by rows, with a stride of two along h and w.

As `gpu_rows_kernels`, whose names and tuples these are, along rows and columns of the
strided grid: `[H2, W2]` of y and dy. Launched by `gpu`.
"""

import triton
import triton.language as tl

from vidshift.kernels.interpolated.gpu_rows_kernels import (
    _abs,
    _bits,
    _column,
    _finished,
    _interpolate,
    _interpolate_back,
    _less,
    _mix_frames,
    _move_columns,
    _not,
    _own_frames,
    _part,
    _plus,
    _pointer,
    _prefetch,
    _prefetched,
    _row,
    _rows,
    _shifts,
    _sides,
    _store,
    _taps,
    _times,
    _values,
    _where,
    _within_clip,
    _zeros,
)


@triton.jit
def _row_of_columns(
    words, sides_w, by_w, by_t, t0,
    T: tl.constexpr, F: tl.constexpr, K: tl.constexpr, N: tl.constexpr,
    HALO: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """A row of x, mixed along w and t."""
    if WHOLE:
        row = _move_columns(words, by_w)
    else:
        row, _slopes = _interpolate(words, sides_w, K)
    return _mix_frames(_within_clip(row, t0, T, F, N, HALO), by_t, N, HALO)


@triton.jit
def _prefetch_2_rows(at, h, H: tl.constexpr, W: tl.constexpr, D: tl.constexpr):
    """Prefetches words of rows h and h + 1, and where W is even those of the next columns."""
    for i in tl.static_range(2):
        row = at + tl.minimum(h + i, H - 1) * (W * D)
        _prefetch(row)
        if W % 2 == 0:
            _prefetch(row + D)


@triton.jit
def _mix_3_rows(own, above, below, weights, N: tl.constexpr):
    here, before, after = weights
    mixed = ()
    for i in tl.static_range(len(own)):
        value = _plus(_times(here[i % N], own[i]), before[i % N], above[i])
        mixed = mixed + (_plus(value, after[i % N], below[i]),)
    return mixed


@triton.jit
def rows_strided_forward_kernel(
    x_ptr, shift_ptr, y_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, F: tl.constexpr, ROWS: tl.constexpr, L: tl.constexpr,
    CHUNK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    D: tl.constexpr = C // K
    H2: tl.constexpr = (H + 1) // 2
    W2: tl.constexpr = (W + 1) // 2
    WORDS: tl.constexpr = W * D
    FRAME: tl.constexpr = H * WORDS
    HALO: tl.constexpr = F < T
    N: tl.constexpr = 1 if WHOLE else K
    _tile, clip, start, h0, h1, lane, inside = _part(T, H2, W2 * D, F, ROWS, L)
    w, d = _column(lane, W2, D, CHUNK)
    t0 = tl.minimum(start, T - F)
    y = _pointer(y_ptr, clip, t0, T, H2 * W2 * D, K) + (w * D + d)
    x = _pointer(x_ptr, clip, t0, T, FRAME, K)
    ahead = _prefetched(x, lane, 2, W2, D, CHUNK, F, FRAME)
    x += 2 * w * D + d
    has_after = 2 * w + 1 < W
    x = (x, x - tl.where(w > 0, D, 0), x + tl.where(has_after, D, 0))
    WORD: tl.constexpr = y.dtype.element_ty
    s_t = _shifts(shift_ptr, 0, d, C, K)
    s_h = _shifts(shift_ptr, 1, d, C, K)
    s_w = _shifts(shift_ptr, 2, d, C, K)
    by_t = _taps(s_t, WHOLE, WORD)
    here_h, before_h, after_h = _taps(s_h, WHOLE, WORD)
    here_w, before_w, after_w = _taps(s_w, WHOLE, WORD)
    by_w = (here_w, _where(w > 0, before_w), _where(has_after, after_w))
    sides_w = _sides(s_w, _less(s_w, 0.0), w > 0, has_after, WORD)
    words = _rows(x, tl.maximum(2 * h0 - 1, 0), t0, T, F, WORDS, FRAME, HALO)
    above = _row_of_columns(words, sides_w, by_w, by_t, t0, T, F, K, N, HALO, WHOLE)
    above = _where(h0 > 0, above)
    words = _rows(x, 2 * h0, t0, T, F, WORDS, FRAME, HALO)
    last = tl.minimum(2 * h1 - 1, H - 1)
    for h in range(h0, h1):
        own = _row_of_columns(words, sides_w, by_w, by_t, t0, T, F, K, N, HALO, WHOLE)
        words = _rows(x, tl.minimum(2 * h + 1, last), t0, T, F, WORDS, FRAME, HALO)
        below = _row_of_columns(words, sides_w, by_w, by_t, t0, T, F, K, N, HALO, WHOLE)
        words = _rows(x, tl.minimum(2 * h + 2, last), t0, T, F, WORDS, FRAME, HALO)
        _prefetch_2_rows(ahead, 2 * h + 3, H, W, D)
        by_h = (here_h, before_h, _where(2 * h + 1 < H, after_h))
        complete = _mix_3_rows(own, above, below, by_h, N)
        above = below
        finished = _finished(complete, (s_t, s_h, s_w), K, WORD, WHOLE)
        at = y + h * (W2 * D)
        _store(at, finished, inside, t0, start, H2 * W2 * D, HALO)


# Backward. Of dx, a place of the strided grid has its own output, and the place after it
# the output on the other side of its channel's shift: that one again, or the next.


@triton.jit
def _either(words, others, masks):
    chosen = ()
    for i in tl.static_range(len(words)):
        chosen = chosen + ((words[i] & masks[0]) | (others[i] & masks[1]),)
    return chosen


@triton.jit
def _all_values(words, K: tl.constexpr):
    values = ()
    for i in tl.static_range(len(words)):
        values = values + _values(words[i], K)
    return values


@triton.jit
def _mixed_in_time(
    words, sides_t, t0, T: tl.constexpr, F: tl.constexpr, K: tl.constexpr,
    HALO: tl.constexpr,
):  # fmt: skip
    values = _within_clip(_all_values(words, K), t0, T, F, K, HALO)
    return _interpolate_back(values, sides_t, K, HALO)


@triton.jit
def _moved_in_time(
    words, by_t, t0, T: tl.constexpr, F: tl.constexpr, HALO: tl.constexpr
):
    return _mix_frames(_within_clip(words, t0, T, F, 1, HALO), by_t, 1, HALO)


@triton.jit
def _weighted(row, weight, N: tl.constexpr):
    weighted = ()
    for i in tl.static_range(len(row)):
        weighted = weighted + (_times(weight[i % N], row[i]),)
    return weighted


@triton.jit
def _add_products_at(sums, at: tl.constexpr, row, words, K: tl.constexpr):
    """Adds dy's slopes in t times x, and dy times x, to sums `at` and `at + 1`."""
    values, slopes = row
    x = _all_values(words, K)
    added = ()
    for n in tl.static_range(len(sums)):
        total = sums[n]
        for i in tl.static_range(len(words)):
            if n // K == at:
                total += slopes[i * K + n % K] * x[i * K + n % K]
            elif n // K == at + 1:
                total += values[i * K + n % K] * x[i * K + n % K]
        added = added + (total,)
    return added


@triton.jit
def _store_strided_sums(
    at, sums, s_t, s_h, s_w, mask, C: tl.constexpr, K: tl.constexpr
):
    """Stores the gradients in the shift of a word's channels.

    The sums are for (row, column) of 2 x 2 places of x: slopes in t, values.
    """
    for k in tl.static_range(K):
        near_h = tl.abs(s_h[k])
        near_w = tl.abs(s_w[k])
        here_h = 1.0 - near_h
        here_w = 1.0 - near_w
        by_t = here_h * (here_w * sums[k] + near_w * sums[2 * K + k])
        by_t += near_h * (here_w * sums[4 * K + k] + near_w * sums[6 * K + k])
        by_h = here_w * (sums[5 * K + k] - sums[K + k])
        by_h += near_w * (sums[7 * K + k] - sums[3 * K + k])
        by_w = here_h * (sums[3 * K + k] - sums[K + k])
        by_w += near_h * (sums[7 * K + k] - sums[5 * K + k])
        # The slopes were those in the size of the shift.
        tl.store(at + k, tl.where(s_t[k] < 0, -by_t, by_t), mask=mask)
        tl.store(at + C + k, tl.where(s_h[k] < 0, -by_h, by_h), mask=mask)
        tl.store(at + 2 * C + k, tl.where(s_w[k] < 0, -by_w, by_w), mask=mask)


@triton.jit
def _after_masks(shifts, has_own, has_next, WORD: tl.constexpr):
    """Masks of the channels whose place after an output's own reads it, or the next one."""
    own = ()
    next = ()
    for k in tl.static_range(len(shifts)):
        own = own + (~(shifts[k] < 0) & has_own,)
        next = next + ((shifts[k] < 0) & has_next,)
    return _bits(own, WORD), _bits(next, WORD)


@triton.jit
def _dx_row(
    own, after, by_w, by_h, moves,
    K: tl.constexpr, N: tl.constexpr, WORD: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Words of a row of dx, at the places of the strided grid and at those after them."""
    here_w, near_w = by_w
    at_own = _weighted(_weighted(own, here_w, N), by_h, N)
    at_after = _weighted(_weighted(after, near_w, N), by_h, N)
    return (
        _finished(at_own, moves, K, WORD, WHOLE),
        _finished(at_after, moves, K, WORD, WHOLE),
    )


@triton.jit
def rows_strided_backward_kernel(
    x_ptr, shift_ptr, whole_ptr, dy_ptr, dx_ptr, parts_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, F: tl.constexpr, ROWS: tl.constexpr, L: tl.constexpr,
    CHUNK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """A program has rows h0 to h1 of dy, and the two rows of dx that begin at each.

    The shift's gradient is x times dx's slopes. Their weights along h and w are a
    channel's, so what is added up are products for each of the 2 x 2 places.
    """
    D: tl.constexpr = C // K
    H2: tl.constexpr = (H + 1) // 2
    W2: tl.constexpr = (W + 1) // 2
    FRAME: tl.constexpr = H * W * D
    FRAME2: tl.constexpr = H2 * W2 * D
    ROW: tl.constexpr = W * D
    ROW2: tl.constexpr = W2 * D
    HALO: tl.constexpr = F < T
    N: tl.constexpr = 1 if WHOLE else K
    tile, clip, start, h0, h1, lane, inside = _part(T, H2, W2 * D, F, ROWS, L)
    w, d = _column(lane, W2, D, CHUNK)
    t0 = tl.minimum(start, T - F)
    place = 2 * w * D + d
    has_after = 2 * w + 1 < W
    dx = _pointer(dx_ptr, clip, t0, T, FRAME, K) + place
    x = _pointer(x_ptr, clip, t0, T, FRAME, K)
    ahead = _prefetched(x, lane, 2, W2, D, CHUNK, F, FRAME)
    x += place
    x_after = x + tl.where(has_after, D, 0)
    dy = _pointer(dy_ptr, clip, t0, T, FRAME2, K) + (w * D + d)
    dy_next = dy + tl.where(w < W2 - 1, D, 0)
    WORD: tl.constexpr = dx.dtype.element_ty
    s_t = _shifts(shift_ptr, 0, d, C, K)
    s_h = _shifts(shift_ptr, 1, d, C, K)
    s_w = _shifts(shift_ptr, 2, d, C, K)
    sides_t = (_abs(s_t), _less(s_t, 0.0))
    if WHOLE:
        moves = (
            _shifts(whole_ptr, 0, d, C, K),
            _shifts(whole_ptr, 1, d, C, K),
            _shifts(whole_ptr, 2, d, C, K),
        )
    else:
        moves = (s_t, s_h, s_w)
    here_t, late_t, early_t = _taps(moves[0], WHOLE, WORD)
    by_t = (here_t, early_t, late_t)
    here_h, before_h, after_h = _taps(moves[1], WHOLE, WORD)
    here_w, before_w, after_w = _taps(moves[2], WHOLE, WORD)
    if WHOLE:
        near_h = ((before_h[0] | after_h[0]),)
        near_w = ((before_w[0] | after_w[0]),)
    else:
        near_h = _abs(s_h)
        near_w = _abs(s_w)
    by_w = (here_w, near_w)
    own_or_next = _after_masks(s_w, has_after, has_after & (w < W2 - 1), WORD)
    moved = _after_masks(moves[2], has_after, has_after & (w < W2 - 1), WORD)
    is_up = _less(s_h, 0.0)
    below_or_above = (_bits(_not(is_up), WORD), _bits(is_up, WORD))
    is_up = _less(moves[1], 0.0)
    waiting_or_not = (_bits(_not(is_up), WORD), _bits(is_up, WORD))

    h = tl.maximum(2 * h0 - 1, 0) * ROW
    above = _own_frames(_row(x + h, 0, F, F, FRAME, False), t0, start, HALO)
    above = _where(h0 > 0, above)
    above_after = _own_frames(_row(x_after + h, 0, F, F, FRAME, False), t0, start, HALO)
    above_after = _where(h0 > 0, above_after)
    waiting = _zeros(F, L, WORD)
    waiting_after = _zeros(F, L, WORD)
    sums = _zeros(8 * K, L, tl.float32)
    for h in range(h0, h1):
        own = _row(dy + h * ROW2, t0, T, F, FRAME2, HALO)
        next = _row(dy_next + h * ROW2, t0, T, F, FRAME2, HALO)
        _prefetch_2_rows(ahead, 2 * h + 2, H, W, D)
        at = 2 * h * ROW
        x_own = _row(x + at, 0, F, F, FRAME, False)
        x_own_after = _row(x_after + at, 0, F, F, FRAME, False)
        at = tl.minimum(2 * h + 1, H - 1) * ROW
        below = _row(x + at, 0, F, F, FRAME, False)
        below_after = _row(x_after + at, 0, F, F, FRAME, False)
        x_own = _own_frames(x_own, t0, start, HALO)
        x_own_after = _own_frames(x_own_after, t0, start, HALO)
        below = _own_frames(below, t0, start, HALO)
        below_after = _own_frames(below_after, t0, start, HALO)
        near = _either(own, next, own_or_next)
        row = _mixed_in_time(own, sides_t, t0, T, F, K, HALO)
        row_near = _mixed_in_time(near, sides_t, t0, T, F, K, HALO)
        is_below, is_above = below_or_above
        masks = _where(2 * h + 1 < H, (is_below,)) + (is_above,)
        sums = _add_products_at(sums, 0, row, x_own, K)
        sums = _add_products_at(sums, 2, row_near, x_own_after, K)
        sums = _add_products_at(sums, 4, row, _either(below, above, masks), K)
        x_near = _either(below_after, above_after, masks)
        sums = _add_products_at(sums, 6, row_near, x_near, K)
        above = below
        above_after = below_after
        if WHOLE:
            value = _moved_in_time(own, by_t, t0, T, F, HALO)
            near = _either(own, next, moved)
            value_near = _moved_in_time(near, by_t, t0, T, F, HALO)
        else:
            value = row[0]
            value_near = row_near[0]
        to = dx + 2 * h * ROW
        own, after = _dx_row(value, value_near, by_w, here_h, moves, K, N, WORD, WHOLE)
        _store(to, own, inside, t0, start, FRAME, HALO)
        _store(to + D, after, inside & has_after, t0, start, FRAME, HALO)
        # The row above, of channels whose shift is to the top with this row of dy.
        own, after = _dx_row(value, value_near, by_w, near_h, moves, K, N, WORD, WHOLE)
        to = dx + (2 * h - 1) * ROW
        mask = inside & (h > h0)
        complete = _either(waiting, own, waiting_or_not)
        _store(to, complete, mask, t0, start, FRAME, HALO)
        complete = _either(waiting_after, after, waiting_or_not)
        _store(to + D, complete, mask & has_after, t0, start, FRAME, HALO)
        waiting = own
        waiting_after = after
    # The strip's last row also reads the row of dy below the strip.
    at = tl.minimum(h1, H2 - 1) * ROW2
    own = _row(dy + at, t0, T, F, FRAME2, HALO)
    near = _either(own, _row(dy_next + at, t0, T, F, FRAME2, HALO), moved)
    if WHOLE:
        value = _moved_in_time(own, by_t, t0, T, F, HALO)
        value_near = _moved_in_time(near, by_t, t0, T, F, HALO)
    else:
        value, _slopes = _mixed_in_time(own, sides_t, t0, T, F, K, HALO)
        value_near, _slopes = _mixed_in_time(near, sides_t, t0, T, F, K, HALO)
    value = _where(h1 < H2, value)
    value_near = _where(h1 < H2, value_near)
    own, after = _dx_row(value, value_near, by_w, near_h, moves, K, N, WORD, WHOLE)
    mask = inside & (2 * h1 - 1 < H)
    to = dx + (2 * h1 - 1) * ROW
    complete = _either(waiting, own, waiting_or_not)
    _store(to, complete, mask, t0, start, FRAME, HALO)
    complete = _either(waiting_after, after, waiting_or_not)
    _store(to + D, complete, mask & has_after, t0, start, FRAME, HALO)
    at = parts_ptr + (tile.to(tl.int64) * W2 + w) * (3 * C) + d * K
    _store_strided_sums(at, sums, s_t, s_h, s_w, inside, C, K)
