"""Triton programs of the interpolated shift by rows. Launched by `gpu`.

For shifts of up to one place with a stride of one. Columns and channels are one axis of
words: two neighbouring channels of bfloat16, or one channel where their number is odd or
the type is float32. A program has L words, F frames and a strip of ROWS rows. It walks
down the strip: it loads a row of all its frames, mixes each word with its neighbour in
the row, then the frames, then the row with the row before. Forward, the next row is loaded
before the present one is computed; backward the registers do not suffice for that.

Tensors are `[L]`. A tuple of words has one for each frame; a tuple of values has K for
each frame, one for each channel of a word. With HALO the clip has more than F frames, and
tuples of what is read have the frame before and the frame after as well.

Rounded shifts (WHOLE) take the same steps on words, with masks of bits in place of
weights: their results are copies of x's bits.
"""

import triton
import triton.language as tl

# The words of a program.


@triton.jit
def _part(
    T: tl.constexpr, H: tl.constexpr, WORDS: tl.constexpr,
    F: tl.constexpr, ROWS: tl.constexpr, L: tl.constexpr,
):  # fmt: skip
    """This program's tile, clip, first frame, rows from h0 to h1, and words of a row."""
    blocks: tl.constexpr = (WORDS + L - 1) // L
    strips: tl.constexpr = (H + ROWS - 1) // ROWS
    runs: tl.constexpr = (T + F - 1) // F
    tile = tl.program_id(0) // blocks
    h0 = tile % strips * ROWS
    start = tile // strips % runs * F
    clip = (tile // (strips * runs)).to(tl.int64)
    lane = tl.program_id(0) % blocks * L + tl.arange(0, L)
    # A lane too many does the last word again: it needs no mask but for its stores.
    return tile, clip, start, h0, tl.minimum(h0 + ROWS, H), lane, lane < WORDS


@triton.jit
def _column(lane, W: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr):
    """A lane's column, and which of the D words of the column.

    Lanes go along CHUNK words of a column, then along the columns, then to the next
    CHUNK: most neighbours in a row are the same program's.
    """
    lane = tl.minimum(lane, W * D - 1)
    return lane // CHUNK % W, lane // (CHUNK * W) * CHUNK + lane % CHUNK


@triton.jit
def _pointer(ptr, clip, t, T: tl.constexpr, FRAME: tl.constexpr, K: tl.constexpr):
    """A pointer to the words of frame t; FRAME words are one frame."""
    if K == 2 or ptr.dtype.element_ty == tl.float32:
        ptr = ptr.to(tl.pointer_type(tl.uint32), bitcast=True)
    else:
        ptr = ptr.to(tl.pointer_type(tl.uint16), bitcast=True)
    return ptr + (clip * T + t) * FRAME


@triton.jit
def _with_neighbours(at, w, W: tl.constexpr, D: tl.constexpr):
    """Pointers to words and to those before and after; at the edges to the words again."""
    return (at, at - tl.where(w > 0, D, 0), at + tl.where(w < W - 1, D, 0))


@triton.jit
def _row(
    at, t0, T: tl.constexpr, F: tl.constexpr, FRAME: tl.constexpr, HALO: tl.constexpr
):
    """Loads a word of each frame, from t0 on; beyond the clip any frame."""
    words = ()
    if HALO:
        words = words + (tl.load(at - tl.where(t0 > 0, FRAME, 0)),)
    for t in tl.static_range(F):
        words = words + (tl.load(at + t * FRAME),)
    if HALO:
        last = tl.where(t0 + F < T, F, F - 1).to(tl.int64)
        words = words + (tl.load(at + last * FRAME),)
    return words


@triton.jit
def _rows(
    pointers, h, t0, T: tl.constexpr, F: tl.constexpr,
    WORDS: tl.constexpr, FRAME: tl.constexpr, HALO: tl.constexpr,
):  # fmt: skip
    """Row h, of WORDS words: a program's own words, those before them and those after."""
    own, left, right = pointers
    return (
        _row(own + h * WORDS, t0, T, F, FRAME, HALO),
        _row(left + h * WORDS, t0, T, F, FRAME, HALO),
        _row(right + h * WORDS, t0, T, F, FRAME, HALO),
    )


@triton.jit
def _prefetched(
    at, lane, STEP: tl.constexpr, W: tl.constexpr, D: tl.constexpr,
    CHUNK: tl.constexpr, F: tl.constexpr, FRAME: tl.constexpr,
):  # fmt: skip
    """The word of a frame that a lane prefetches, of the row that `at` points to.

    Every F-th word, for each of the F frames: where F is 8, one of each 32 bytes. STEP
    columns are between a program's.
    """
    w, d = _column(lane // F * F, W, D, CHUNK)
    return at + (STEP * w * D + d) + (lane % F).to(tl.int64) * FRAME


@triton.jit
def _prefetch(at):
    """Starts to bring words to the L2 cache; no register waits for them."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;",
        "=r,l",
        [at],
        dtype=tl.int32,
        is_pure=False,
        pack=1,
    )


@triton.jit
def _zeros(n: tl.constexpr, L: tl.constexpr, dtype: tl.constexpr):
    zeros = ()
    for _ in tl.static_range(n):
        zeros = zeros + (tl.zeros([L], dtype),)
    return zeros


@triton.jit
def _values(word, K: tl.constexpr):
    """Returns the float32 values of a word; the first channel is its low half."""
    if K == 2:
        first = (word << 16).to(tl.float32, bitcast=True)
        return (first, (word & 0xFFFF0000).to(tl.float32, bitcast=True))
    elif word.dtype == tl.uint16:
        return ((word.to(tl.uint32) << 16).to(tl.float32, bitcast=True),)
    else:
        return (word.to(tl.float32, bitcast=True),)


@triton.jit
def _word(values, at: tl.constexpr, K: tl.constexpr, WORD: tl.constexpr):
    """Rounds the K values from `at` on to a word."""
    if K == 2:
        # One instruction, where two conversions and putting halves together are four.
        return tl.inline_asm_elementwise(
            "cvt.rn.bf16x2.f32 $0, $1, $2;",
            "=r,f,f",
            [values[at + 1], values[at]],
            dtype=tl.uint32,
            is_pure=True,
            pack=1,
        )
    elif WORD == tl.uint16:
        return values[at].to(tl.bfloat16).to(tl.uint16, bitcast=True)
    else:
        return values[at].to(tl.uint32, bitcast=True)


# Weights: tuples of K tensors of float32, or with WHOLE of a mask for a word.


@triton.jit
def _shifts(ptr, axis: tl.constexpr, d, C: tl.constexpr, K: tl.constexpr):
    shifts = ()
    for k in tl.static_range(K):
        shifts = shifts + (tl.load(ptr + axis * C + d * K + k),)
    return shifts


@triton.jit
def _bits(conditions, WORD: tl.constexpr):
    """A word that has all bits of a channel where its condition holds."""
    if len(conditions) == 1:
        return tl.where(conditions[0], -1, 0).to(WORD)
    else:
        low = tl.where(conditions[0], 0xFFFF, 0).to(tl.uint32)
        return low | (tl.where(conditions[1], 0xFFFF, 0).to(tl.uint32) << 16)


@triton.jit
def _taps(shifts, WHOLE: tl.constexpr, WORD: tl.constexpr):
    """The weights of a place itself, the place before it and the one after it."""
    here = ()
    before = ()
    after = ()
    for k in tl.static_range(len(shifts)):
        s = shifts[k]
        if WHOLE:
            here = here + (s == 0,)
            before = before + (s < 0,)
            after = after + (s > 0,)
        else:
            here = here + (1.0 - tl.abs(s),)
            before = before + (tl.maximum(-s, 0.0),)
            after = after + (tl.maximum(s, 0.0),)
    if WHOLE:
        here = (_bits(here, WORD),)
        before = (_bits(before, WORD),)
        after = (_bits(after, WORD),)
    return here, before, after


@triton.jit
def _less(shifts, than: tl.constexpr):
    less = ()
    for k in tl.static_range(len(shifts)):
        less = less + (shifts[k] < than,)
    return less


@triton.jit
def _not(conditions):
    negated = ()
    for k in tl.static_range(len(conditions)):
        negated = negated + (~conditions[k],)
    return negated


@triton.jit
def _is_nan(shifts):
    """Conditions: whether one of a channel's three shifts is nan."""
    s_t, s_h, s_w = shifts
    is_nan = ()
    for k in tl.static_range(len(s_t)):
        s = s_t[k] + s_h[k] + s_w[k]
        is_nan = is_nan + (~(tl.abs(s) >= 0),)
    return is_nan


@triton.jit
def _abs(shifts):
    sizes = ()
    for k in tl.static_range(len(shifts)):
        sizes = sizes + (tl.abs(shifts[k]),)
    return sizes


@triton.jit
def _sides(shifts, is_before, has_before, has_after, WORD: tl.constexpr):
    """The weight of the neighbour on a channel's side, 1 if there is one, and the side."""
    there = ()
    for k in tl.static_range(len(shifts)):
        exists = (is_before[k] & has_before) | (~is_before[k] & has_after)
        there = there + (tl.where(exists, 1.0, 0.0),)
    return _abs(shifts), there, _bits(is_before, WORD)


@triton.jit
def _where(condition, tensors):
    """Weights or values where a condition holds, else zero."""
    chosen = ()
    for k in tl.static_range(len(tensors)):
        zero = tl.zeros(tensors[k].shape, tensors[k].dtype)
        chosen = chosen + (tl.where(condition, tensors[k], zero),)
    return chosen


@triton.jit
def _times(weight, value):
    if weight.dtype == tl.float32:
        return weight * value
    else:
        return weight & value


@triton.jit
def _plus(total, weight, value):
    if weight.dtype == tl.float32:
        return total + weight * value
    else:
        return total | (weight & value)


# Mixing.


@triton.jit
def _interpolate(words, sides, K: tl.constexpr):
    """Words, those before and those after -> values, and their slopes in |shift|.

    Each value is mixed with its neighbour on the side of its channel.
    """
    own, before, after = words
    size, there, is_before = sides
    values = ()
    slopes = ()
    for i in tl.static_range(len(own)):
        a = _values(own[i], K)
        n = _values((before[i] & is_before) | (after[i] & ~is_before), K)
        for k in tl.static_range(K):
            slope = there[k] * n[k] - a[k]
            values = values + (a[k] + size[k] * slope,)
            slopes = slopes + (slope,)
    return values, slopes


@triton.jit
def _move_columns(words, weights):
    """Words, those before and those after -> words, moved by whole columns."""
    own, left, right = words
    here, before, after = weights
    moved = ()
    for i in tl.static_range(len(own)):
        word = _plus(here[0] & own[i], before[0], left[i])
        moved = moved + (_plus(word, after[0], right[i]),)
    return moved


@triton.jit
def _within_clip(
    row, t0, T: tl.constexpr, F: tl.constexpr, N: tl.constexpr, HALO: tl.constexpr
):
    """Sets the frames before and after the clip to zero, of N values a frame."""
    if HALO:
        masked = _where(t0 > 0, row[:N])
        for i in tl.static_range(N, len(row) - N):
            masked = masked + (row[i],)
        row = masked + _where(t0 + F < T, row[len(row) - N :])
    return row


@triton.jit
def _mix_frames(row, weights, N: tl.constexpr, HALO: tl.constexpr):
    """Mixes each frame with its neighbours in time, of N values a frame."""
    here, before, after = weights
    first: tl.constexpr = N if HALO else 0
    mixed = ()
    for i in tl.static_range(first, len(row) - first):
        value = _times(here[i % N], row[i])
        if i >= N:
            value = _plus(value, before[i % N], row[i - N])
        if i + N < len(row):
            value = _plus(value, after[i % N], row[i + N])
        mixed = mixed + (value,)
    return mixed


@triton.jit
def _two_rows(weights, is_before, WORD: tl.constexpr):
    """The weights of the row before and of the present one, and a mask of channels.

    A channel has two of three rows. Where its neighbour is the row before (the mask), its
    result is that of the present row, otherwise that of the row before.
    """
    here, before, after = weights
    is_ahead = _bits(is_before, WORD)
    first = ()
    second = ()
    for k in tl.static_range(len(here)):
        if here[k].dtype == tl.float32:
            first = first + (tl.where(is_before[k], before[k], here[k]),)
            second = second + (tl.where(is_before[k], here[k], after[k]),)
        else:
            first = first + ((before[k] & is_ahead) | (here[k] & ~is_ahead),)
            second = second + ((here[k] & is_ahead) | (after[k] & ~is_ahead),)
    return first, second, is_ahead


@triton.jit
def _mix_rows(row, previous, weights, N: tl.constexpr):
    first, second, _is_ahead = weights
    mixed = ()
    for i in tl.static_range(len(row)):
        mixed = mixed + (
            _plus(_times(first[i % N], previous[i]), second[i % N], row[i]),
        )
    return mixed


@triton.jit
def _put_together(words, waiting, is_ahead):
    """Words of one row: those that came with it have waited for the others."""
    complete = ()
    for t in tl.static_range(len(words)):
        complete = complete + ((waiting[t] & is_ahead) | (words[t] & ~is_ahead),)
    return complete


@triton.jit
def _finished(row, shifts, K: tl.constexpr, WORD: tl.constexpr, WHOLE: tl.constexpr):
    """The words of a row of the result."""
    words = ()
    if WHOLE:
        # Moved words do not know of a shift that is nan.
        nan = _bits(_is_nan(shifts), WORD)
        for t in tl.static_range(len(row)):
            words = words + (row[t] | nan,)
    else:
        for t in tl.static_range(len(row) // K):
            words = words + (_word(row, t * K, K, WORD),)
    return words


@triton.jit
def _store(at, words, mask, t0, start, FRAME: tl.constexpr, HALO: tl.constexpr):
    """Stores a word of each frame, but for frames before `start`: another run has them."""
    for t in tl.static_range(len(words)):
        if HALO:
            tl.store(at + t * FRAME, words[t], mask=mask & (t0 + t >= start))
        else:
            tl.store(at + t * FRAME, words[t], mask=mask)


@triton.jit
def rows_forward_kernel(
    x_ptr, shift_ptr, y_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, F: tl.constexpr, ROWS: tl.constexpr, L: tl.constexpr,
    CHUNK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    D: tl.constexpr = C // K
    WORDS: tl.constexpr = W * D
    FRAME: tl.constexpr = H * WORDS
    HALO: tl.constexpr = F < T
    N: tl.constexpr = 1 if WHOLE else K
    _tile, clip, start, h0, h1, lane, inside = _part(T, H, WORDS, F, ROWS, L)
    w, d = _column(lane, W, D, CHUNK)
    t0 = tl.minimum(start, T - F)
    x = _pointer(x_ptr, clip, t0, T, FRAME, K)
    y = _pointer(y_ptr, clip, t0, T, FRAME, K) + (w * D + d)
    ahead = _prefetched(x, lane, 1, W, D, CHUNK, F, FRAME)
    x = _with_neighbours(x + (w * D + d), w, W, D)
    WORD: tl.constexpr = y.dtype.element_ty
    s_t = _shifts(shift_ptr, 0, d, C, K)
    s_h = _shifts(shift_ptr, 1, d, C, K)
    s_w = _shifts(shift_ptr, 2, d, C, K)
    by_t = _taps(s_t, WHOLE, WORD)
    by_h = _taps(s_h, WHOLE, WORD)
    here_w, before_w, after_w = _taps(s_w, WHOLE, WORD)
    by_w = (here_w, _where(w > 0, before_w), _where(w < W - 1, after_w))
    sides_w = _sides(s_w, _less(s_w, 0.0), w > 0, w < W - 1, WORD)
    first_h, second_h, is_ahead = _two_rows(by_h, _less(s_h, 0.0), WORD)
    previous = _zeros(F * N, L, WORD if WHOLE else tl.float32)
    waiting = _zeros(F, L, WORD)
    words = _rows(x, tl.maximum(h0 - 1, 0), t0, T, F, WORDS, FRAME, HALO)
    for h in range(tl.maximum(h0 - 1, 0), h1 + 1):
        if WHOLE:
            row = _move_columns(words, by_w)
        else:
            row, _slopes = _interpolate(words, sides_w, K)
        following = tl.minimum(h + 1, tl.minimum(h1, H - 1))
        words = _rows(x, following, t0, T, F, WORDS, FRAME, HALO)
        _prefetch(ahead + tl.minimum(h + 2, H - 1) * WORDS)
        row = _mix_frames(_within_clip(row, t0, T, F, N, HALO), by_t, N, HALO)
        # Beyond the map's last row there is none.
        weights = (first_h, _where(h < H, second_h), is_ahead)
        mixed = _finished(
            _mix_rows(row, previous, weights, N), (s_t, s_h, s_w), K, WORD, WHOLE
        )
        complete = _put_together(mixed, waiting, is_ahead)
        previous = row
        waiting = mixed
        at = y + (h - 1) * WORDS
        _store(at, complete, inside & (h > h0), t0, start, FRAME, HALO)


# Backward.


@triton.jit
def _interpolate_back(row, sides, K: tl.constexpr, HALO: tl.constexpr):
    """Frames -> each mixed with the one that its channel was moved to, and the slopes."""
    size, is_later = sides
    first: tl.constexpr = K if HALO else 0
    values = ()
    slopes = ()
    for i in tl.static_range(first, len(row) - first):
        near = tl.zeros(row[i].shape, tl.float32)
        if i + K < len(row):
            near = tl.where(is_later[i % K], row[i + K], near)
        if i >= K:
            near = tl.where(is_later[i % K], near, row[i - K])
        slope = near - row[i]
        values = values + (row[i] + size[i % K] * slope,)
        slopes = slopes + (slope,)
    return values, slopes


@triton.jit
def _row_back(
    words, sides_w, by_w, sides_t, by_t, t0,
    T: tl.constexpr, F: tl.constexpr, K: tl.constexpr, N: tl.constexpr,
    HALO: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """A row of dy moved back along w and t.

    -> what is added to dx; the interpolated values and their slopes in the sizes of the
    shifts along t and w.
    """
    values, slopes_w = _interpolate(words, sides_w, K)
    values = _within_clip(values, t0, T, F, K, HALO)
    slopes_w = _within_clip(slopes_w, t0, T, F, K, HALO)
    values, slopes_t = _interpolate_back(values, sides_t, K, HALO)
    if WHOLE:
        row = _within_clip(_move_columns(words, by_w), t0, T, F, N, HALO)
        row = _mix_frames(row, by_t, N, HALO)
    else:
        row = values
    return row, values, slopes_t, slopes_w


@triton.jit
def _add_products(sums, values, slopes_t, slopes_w, x, slopes_x, K: tl.constexpr):
    """Adds a row of dy times x to five sums, of K values each.

    They are for the gradients in t and h, and for that in w with dy's slopes in the same
    frame, the frame before and the one after: what these count is known at the end.
    """
    first: tl.constexpr = (len(slopes_w) - len(x)) // 2
    added = ()
    for k in tl.static_range(K):
        by_t = sums[5 * k]
        by_h = sums[5 * k + 1]
        by_w = sums[5 * k + 2]
        by_w_before = sums[5 * k + 3]
        by_w_after = sums[5 * k + 4]
        for i in tl.static_range(k, len(x), K):
            by_t += slopes_t[i] * x[i]
            by_h += values[i] * slopes_x[i]
            by_w += slopes_w[first + i] * x[i]
            if first + i >= K:
                by_w_before += slopes_w[first + i - K] * x[i]
            if first + i + K < len(slopes_w):
                by_w_after += slopes_w[first + i + K] * x[i]
        added = added + (by_t, by_h, by_w, by_w_before, by_w_after)
    return added


@triton.jit
def _store_sums(at, sums, s_t, s_h, s_w, mask, C: tl.constexpr):
    """Stores the gradients in the shift of a word's channels."""
    for k in tl.static_range(len(s_t)):
        # The slopes were those in the size of the shift.
        by_t = tl.where(s_t[k] < 0, -sums[5 * k], sums[5 * k])
        by_h = tl.where(s_h[k] < 0, -sums[5 * k + 1], sums[5 * k + 1])
        by_w = (1.0 - tl.abs(s_t[k])) * sums[5 * k + 2]
        by_w += tl.maximum(s_t[k], 0.0) * sums[5 * k + 3]
        by_w += tl.maximum(-s_t[k], 0.0) * sums[5 * k + 4]
        by_w = tl.where(s_w[k] < 0, -by_w, by_w)
        tl.store(at + k, by_t, mask=mask)
        tl.store(at + C + k, by_h, mask=mask)
        tl.store(at + 2 * C + k, by_w, mask=mask)


@triton.jit
def _own_frames(words, t0, start, HALO: tl.constexpr):
    """Sets the frames before `start` to zero: another run has them."""
    if HALO:
        kept = ()
        for t in tl.static_range(len(words)):
            zero = tl.zeros(words[t].shape, words[t].dtype)
            kept = kept + (tl.where(t0 + t >= start, words[t], zero),)
        words = kept
    return words


@triton.jit
def rows_backward_kernel(
    x_ptr, shift_ptr, whole_ptr, dy_ptr, dx_ptr, parts_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, F: tl.constexpr, ROWS: tl.constexpr, L: tl.constexpr,
    CHUNK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """dx takes the taps the other way. The shift's gradient is dy, moved back along t and
    w, times x, moved along h, over a program's own rows of dy."""
    D: tl.constexpr = C // K
    WORDS: tl.constexpr = W * D
    FRAME: tl.constexpr = H * WORDS
    HALO: tl.constexpr = F < T
    N: tl.constexpr = 1 if WHOLE else K
    tile, clip, start, h0, h1, lane, inside = _part(T, H, WORDS, F, ROWS, L)
    w, d = _column(lane, W, D, CHUNK)
    t0 = tl.minimum(start, T - F)
    x = _pointer(x_ptr, clip, t0, T, FRAME, K)
    dy = _pointer(dy_ptr, clip, t0, T, FRAME, K)
    dx = _pointer(dx_ptr, clip, t0, T, FRAME, K) + (w * D + d)
    x_ahead = _prefetched(x, lane, 1, W, D, CHUNK, F, FRAME)
    dy_ahead = _prefetched(dy, lane, 1, W, D, CHUNK, F, FRAME)
    x += w * D + d
    dy = _with_neighbours(dy + (w * D + d), w, W, D)
    WORD: tl.constexpr = dx.dtype.element_ty
    s_t = _shifts(shift_ptr, 0, d, C, K)
    s_h = _shifts(shift_ptr, 1, d, C, K)
    s_w = _shifts(shift_ptr, 2, d, C, K)
    sides_t = (_abs(s_t), _less(s_t, 0.0))
    sides_w = _sides(s_w, _not(_less(s_w, 0.0)), w > 0, w < W - 1, WORD)
    if WHOLE:
        moves = (
            _shifts(whole_ptr, 0, d, C, K),
            _shifts(whole_ptr, 1, d, C, K),
            _shifts(whole_ptr, 2, d, C, K),
        )
    else:
        moves = (s_t, s_h, s_w)
    here_t, after_t, before_t = _taps(moves[0], WHOLE, WORD)
    here_h, after_h, before_h = _taps(moves[1], WHOLE, WORD)
    is_before = _not(_less(moves[1], 0.0))
    by_h = _two_rows((here_h, before_h, after_h), is_before, WORD)
    here_w, after_w, before_w = _taps(moves[2], WHOLE, WORD)
    by_t = (here_t, before_t, after_t)
    by_w = (here_w, _where(w > 0, before_w), _where(w < W - 1, after_w))

    # The row above the strip reaches into it.
    h = tl.maximum(h0 - 1, 0)
    words = _rows(dy, h, t0, T, F, WORDS, FRAME, HALO)
    above = _own_frames(_row(x + h * WORDS, 0, F, F, FRAME, False), t0, start, HALO)
    above = _where(h0 > 0, above)
    here = _own_frames(_row(x + h0 * WORDS, 0, F, F, FRAME, False), t0, start, HALO)
    row, _mixed, _slopes_t, _slopes_w = _row_back(
        words, sides_w, by_w, sides_t, by_t, t0, T, F, K, N, HALO, WHOLE
    )
    previous = _where(h0 > 0, row)
    waiting = _zeros(F, L, WORD)
    sums = _zeros(5 * K, L, tl.float32)
    for h in range(h0, h1):
        words = _rows(dy, h, t0, T, F, WORDS, FRAME, HALO)
        _prefetch(dy_ahead + tl.minimum(h + 2, H - 1) * WORDS)
        _prefetch(x_ahead + tl.minimum(h + 3, H - 1) * WORDS)
        below = _row(x + tl.minimum(h + 1, H - 1) * WORDS, 0, F, F, FRAME, False)
        below = _own_frames(below, t0, start, HALO)
        row, values, slopes_t, slopes_w = _row_back(
            words, sides_w, by_w, sides_t, by_t, t0, T, F, K, N, HALO, WHOLE
        )
        sides_h = _sides(s_h, _less(s_h, 0.0), h >= 0, h < H - 1, WORD)
        x_values, x_slopes = _interpolate((here, above, below), sides_h, K)
        sums = _add_products(sums, values, slopes_t, slopes_w, x_values, x_slopes, K)
        above = here
        here = below
        mixed = _finished(_mix_rows(row, previous, by_h, N), moves, K, WORD, WHOLE)
        complete = _put_together(mixed, waiting, by_h[2])
        previous = row
        waiting = mixed
        at = dx + (h - 1) * WORDS
        _store(at, complete, inside & (h > h0), t0, start, FRAME, HALO)
    # So does the row below it.
    words = _rows(dy, tl.minimum(h1, H - 1), t0, T, F, WORDS, FRAME, HALO)
    row, _mixed, _slopes_t, _slopes_w = _row_back(
        words, sides_w, by_w, sides_t, by_t, t0, T, F, K, N, HALO, WHOLE
    )
    row = _mix_rows(_where(h1 < H, row), previous, by_h, N)
    complete = _put_together(_finished(row, moves, K, WORD, WHOLE), waiting, by_h[2])
    _store(dx + (h1 - 1) * WORDS, complete, inside, t0, start, FRAME, HALO)
    at = parts_ptr + (tile.to(tl.int64) * W + w) * (3 * C) + d * K
    _store_sums(at, sums, s_t, s_h, s_w, inside, C)
