"""The Triton programs of the interpolated shift. Launched by `vidshift.kernels.interpolated.gpu`.

A program has a tile of places of one clip, a block of channels and a run of frames. Its
tensors are `[P, BC]`: places by channels, which are next to each other in memory. A frame
is interpolated over its rows and columns with a load for each tap; all but the first of
an element come from the L1 cache.

The kernels take any shift: the taps between the lowest and the highest of the block's
channels, with weights, and each frame again for each output that it is mixed into.
`_near_frame` and `_mix` are for shifts of up to one place, before a convolution: of the
taps -1, 0, 1 each channel selects the one on its side, n, and has
`x[0] + |s| (x[n] - x[0])`.

All sizes are known when it is compiled: T, H, W, C of x, the stride (ST, SH, SW), the
farthest tap (RT, RH, RW), a tile of PH x PW places of the strided grid in P lanes.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, P: tl.constexpr,
    BC: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """This program's part of a grid `[B, T, H, W, C]`: the last axis is the fastest."""
    program = tl.program_id(0)
    row = program // ((C + BC - 1) // BC)
    # Each thread holds its channels' weights: fewer of them, fewer registers.
    c = tl.max_contiguous(
        program % ((C + BC - 1) // BC) * BC + tl.arange(0, BC), VECTOR
    )
    b, t0, h0, w0, h, w, on_map = _places(row, T, H, W, TC, PH, PW, P)
    inside = on_map & (c < C)[None, :]
    return row, b, t0, h0, w0, h, w, c[None, :], inside


@triton.jit
def _places(
    tile, T: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
    TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """A tile's clip, first frame, row and column, and its places `[P, 1]`."""
    w0 = tile % ((W + PW - 1) // PW) * PW
    tile = tile // ((W + PW - 1) // PW)
    h0 = tile % ((H + PH - 1) // PH) * PH
    tile = tile // ((H + PH - 1) // PH)
    t0 = tile % ((T + TC - 1) // TC) * TC
    b = (tile // ((T + TC - 1) // TC)).to(tl.int64)
    p = tl.arange(0, P)[:, None]
    h = h0 + p // PW
    w = w0 + p % PW
    return b, t0, h0, w0, h, w, (p < PH * PW) & (h < H) & (w < W)


@triton.jit
def _or_nan(moved, shift):
    """Returns shifted values, nan where the shift itself is nan."""
    return tl.where(tl.abs(shift) >= 0, moved, float("nan"))


@triton.jit
def _shift(ptr, axis: tl.constexpr, c, C: tl.constexpr):
    return tl.load(ptr + axis * C + c, mask=c < C, other=0.0)


@triton.jit
def _store_parts(ptr, row, sum_t, sum_h, sum_w, c, C: tl.constexpr):
    ptrs = ptr + row.to(tl.int64) * (3 * C) + c
    tl.store(ptrs, tl.sum(sum_t, axis=0, keep_dims=True), mask=c < C)
    tl.store(ptrs + C, tl.sum(sum_h, axis=0, keep_dims=True), mask=c < C)
    tl.store(ptrs + 2 * C, tl.sum(sum_w, axis=0, keep_dims=True), mask=c < C)


@triton.jit
def _tap(
    ptrs, inside, h, w, tap_h: tl.constexpr, tap_w: tl.constexpr,
    PHASE_H: tl.constexpr, PHASE_W: tl.constexpr,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    SIGN: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
):  # fmt: skip
    """The place (h + SIGN * m, w + SIGN * n) has the taps PHASE + stride * (m, n)."""
    if (tap_h - PHASE_H) % SH != 0 or (tap_w - PHASE_W) % SW != 0:
        return tl.zeros(inside.shape, ptrs.dtype.element_ty)
    row = h + SIGN * ((tap_h - PHASE_H) // SH)
    column = w + SIGN * ((tap_w - PHASE_W) // SW)
    mask = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
    further = (tap_h - PHASE_H) // SH * W + (tap_w - PHASE_W) // SW
    return tl.load(ptrs + SIGN * further * C, mask=mask, other=0.0)


@triton.jit
def _near_frame(
    ptr, t, inside, h, w, c, s_h, s_w, PHASE_H: tl.constexpr, PHASE_W: tl.constexpr,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    SIGN: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
):  # fmt: skip
    """Frame t of `[T, H, W, C]` at (own, own), (own, next), (next, own), (next, next)."""
    at = ptr + t * (H * W * C) + ((h * W + w) * C + c)
    up = s_h < 0
    left = s_w < 0
    a = _tap(at, inside, h, w, 0, 0, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    x = _tap(at, inside, h, w, 0, -1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    y = _tap(at, inside, h, w, 0, 1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    b = tl.where(left, x, y)
    x = _tap(at, inside, h, w, -1, 0, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    y = _tap(at, inside, h, w, 1, 0, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    c = tl.where(up, x, y)
    x = _tap(at, inside, h, w, -1, -1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    y = _tap(at, inside, h, w, 1, -1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    d = tl.where(up, x, y)
    x = _tap(at, inside, h, w, -1, 1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    y = _tap(at, inside, h, w, 1, 1, PHASE_H, PHASE_W, H, W, C, SIGN, SH, SW)
    return a, b, c, tl.where(left, d, tl.where(up, x, y))


@triton.jit
def _mix(a, b, c, d, s_h, s_w):
    """-> the interpolated value, its slopes in |s_h| and in |s_w|."""
    a = a.to(tl.float32)
    c = c.to(tl.float32)
    own = b.to(tl.float32) - a
    next = d.to(tl.float32) - c
    value = a + tl.abs(s_w) * own
    by_h = c + tl.abs(s_w) * next - value
    return value + tl.abs(s_h) * by_h, by_h, own + tl.abs(s_h) * (next - own)


@triton.jit
def _hat(shift, tap):
    # maximum would hide a nan otherwise.
    weight = 1.0 - tl.abs(shift - tap)
    return tl.maximum(weight, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _slope(shift, tap):
    low = tl.floor(shift)
    return tl.where(low + 1 == tap, 1.0, 0.0) - tl.where(low == tap, 1.0, 0.0)


@triton.jit
def _range(shift, first, last, R: tl.constexpr):
    """The taps that some channel has, of those from first to last and within R."""
    # A nan has no whole number.
    shift = tl.where(tl.abs(shift) >= 0, shift, 0.0)
    low = tl.floor(tl.min(shift)).to(tl.int32)
    high = tl.floor(tl.max(shift)).to(tl.int32) + 1
    low = tl.maximum(low, tl.maximum(first, -R))
    return low, tl.minimum(high, tl.minimum(last, R))


@triton.jit
def _floor_div(a, n: tl.constexpr, least: tl.constexpr):
    """floor(a / n) for a >= least * n; Triton's own division rounds towards zero."""
    return (a - least * n) // n + least


@triton.jit
def _far_frame(
    ptr, t, inside, h, w, c, s_h, s_w, whole_h, whole_w,
    phase_h, phase_w, first_m, last_m, first_n, last_n,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, SIGN: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, MOVE: tl.constexpr, MIX: tl.constexpr,
    SLOPES: tl.constexpr,
):  # fmt: skip
    """Frame t of `[T, H, W, C]` shifted along its rows and columns, at places (h, w).

    -> the rounded shift, of the frame's dtype; the interpolated one and its slopes in
    s_h and s_w, float32.
    """
    ptrs = ptr + tl.cast(t, tl.int64) * (H * W * C) + ((h * W + w) * C + c)
    moved = tl.zeros(inside.shape, ptr.dtype.element_ty)
    value = tl.zeros(inside.shape, tl.float32)
    by_h = tl.zeros(inside.shape, tl.float32)
    by_w = tl.zeros(inside.shape, tl.float32)
    for m in range(first_m, last_m + 1):
        tap_h = phase_h + SH * m
        row = h + SIGN * m
        in_row = inside & (row >= 0) & (row < H)
        along = tl.zeros(inside.shape, tl.float32)
        across = tl.zeros(inside.shape, tl.float32)
        for n in range(first_n, last_n + 1):
            tap_w = phase_w + SW * n
            column = w + SIGN * n
            mask = in_row & (column >= 0) & (column < W)
            x = tl.load(ptrs + SIGN * (m * W + n) * C, mask=mask, other=0.0)
            if MOVE:
                moved = tl.where((whole_h == tap_h) & (whole_w == tap_w), x, moved)
            if MIX:
                along += _hat(s_w, tap_w) * x.to(tl.float32)
            if SLOPES:
                across += _slope(s_w, tap_w) * x.to(tl.float32)
        if MIX:
            value += _hat(s_h, tap_h) * along
        if SLOPES:
            by_h += _slope(s_h, tap_h) * along
            by_w += _hat(s_h, tap_h) * across
    return moved, value, by_h, by_w


@triton.jit
def far_forward_kernel(
    x_ptr, shift_ptr, y_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RT: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    WHOLE: tl.constexpr, TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
    P: tl.constexpr, BC: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    T2: tl.constexpr = (T + ST - 1) // ST
    H2: tl.constexpr = (H + SH - 1) // SH
    W2: tl.constexpr = (W + SW - 1) // SW
    MIX: tl.constexpr = not WHOLE
    _row, b, t0, h0, w0, h, w, c, inside = _tile(
        T2, H2, W2, C, TC, PH, PW, P, BC, VECTOR
    )
    x_ptr += b * T * (H * W * C)
    y_ptrs = y_ptr + b * T2 * (H2 * W2 * C) + ((h * W2 + w) * C + c)
    s_t = _shift(shift_ptr, 0, c, C)
    s_h = _shift(shift_ptr, 1, c, C)
    s_w = _shift(shift_ptr, 2, c, C)
    first_h, last_h = _range(s_h, -(h0 + PH - 1) * SH, H - 1 - h0 * SH, RH)
    first_w, last_w = _range(s_w, -(w0 + PW - 1) * SW, W - 1 - w0 * SW, RW)
    for t in range(t0, tl.minimum(t0 + TC, T2)):
        first_t, last_t = _range(s_t, -t * ST, T - 1 - t * ST, RT)
        y = tl.zeros([P, BC], x_ptr.dtype.element_ty if WHOLE else tl.float32)
        for tap in range(first_t, last_t + 1):
            moved, value, _by_h, _by_w = _far_frame(
                x_ptr, t * ST + tap, inside, h * SH, w * SW, c, s_h, s_w, s_h, s_w, 0, 0,
                first_h, last_h, first_w, last_w, H, W, C, 1, 1, 1, WHOLE, MIX, False,
            )  # fmt: skip
            if WHOLE:
                y = tl.where(s_t == tap, moved, y)
            else:
                y += _hat(s_t, tap) * value
        if WHOLE:
            y = _or_nan(y, s_t + s_h + s_w)
        at = y_ptrs + tl.cast(t, tl.int64) * (H2 * W2 * C)
        tl.store(at, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def far_backward_kernel(
    x_ptr, shift_ptr, whole_ptr, dy_ptr, dx_ptr, parts_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RT: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    WHOLE: tl.constexpr, TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
    P: tl.constexpr, BC: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    T2: tl.constexpr = (T + ST - 1) // ST
    H2: tl.constexpr = (H + SH - 1) // SH
    W2: tl.constexpr = (W + SW - 1) // SW
    row, b, t0, h0, w0, h, w, c, inside = _tile(T, H2, W2, C, TC, PH, PW, P, BC, VECTOR)
    x_ptr += b * T * (H * W * C)
    dx_ptr += b * T * (H * W * C)
    dy_ptr += b * T2 * (H2 * W2 * C)
    s_t = _shift(shift_ptr, 0, c, C)
    s_h = _shift(shift_ptr, 1, c, C)
    s_w = _shift(shift_ptr, 2, c, C)
    whole_t = _shift(whole_ptr, 0, c, C)
    whole_h = _shift(whole_ptr, 1, c, C)
    whole_w = _shift(whole_ptr, 2, c, C)
    low_t, high_t = _range(s_t, -RT, RT, RT)
    low_h, high_h = _range(s_h, -RH, RH, RH)
    low_w, high_w = _range(s_w, -RW, RW, RW)
    sum_t = tl.zeros([P, BC], tl.float32)
    sum_h = tl.zeros([P, BC], tl.float32)
    sum_w = tl.zeros([P, BC], tl.float32)
    for phase in range(SH * SW):
        phase_h = phase // SW
        phase_w = phase % SW
        # The tap phase + stride * m is that of the output h - m.
        first_m = _floor_div(low_h - phase_h + SH - 1, SH, -H - 2)
        first_m = tl.maximum(first_m, h0 - (H2 - 1))
        last_m = _floor_div(high_h - phase_h, SH, -H - 2)
        last_m = tl.minimum(last_m, h0 + PH - 1)
        first_n = _floor_div(low_w - phase_w + SW - 1, SW, -W - 2)
        first_n = tl.maximum(first_n, w0 - (W2 - 1))
        last_n = _floor_div(high_w - phase_w, SW, -W - 2)
        last_n = tl.minimum(last_n, w0 + PW - 1)
        mine = inside & (h * SH + phase_h < H) & (w * SW + phase_w < W)
        place = ((h * SH + phase_h) * W + w * SW + phase_w) * C + c
        for t in range(t0, tl.minimum(t0 + TC, T)):
            dx = tl.zeros([P, BC], x_ptr.dtype.element_ty if WHOLE else tl.float32)
            by_t = tl.zeros([P, BC], tl.float32)
            by_h = tl.zeros([P, BC], tl.float32)
            by_w = tl.zeros([P, BC], tl.float32)
            first_t = tl.maximum(t - high_t + ST - 1, 0) // ST
            last_t = tl.minimum(tl.maximum(t - low_t + ST, 0) // ST, T2) - 1
            for t2 in range(first_t, last_t + 1):
                moved, value, value_h, value_w = _far_frame(
                    dy_ptr, t2, mine, h, w, c, s_h, s_w, whole_h, whole_w,
                    phase_h, phase_w, first_m, last_m, first_n, last_n,
                    H2, W2, C, -1, SH, SW, WHOLE, True, True,
                )  # fmt: skip
                tap = t - t2 * ST
                by_t += _slope(s_t, tap) * value
                by_h += _hat(s_t, tap) * value_h
                by_w += _hat(s_t, tap) * value_w
                if WHOLE:
                    dx = tl.where(whole_t == tap, moved, dx)
                else:
                    dx += _hat(s_t, tap) * value
            if WHOLE:
                dx = _or_nan(dx, whole_t + whole_h + whole_w)
            at = tl.cast(t, tl.int64) * (H * W * C) + place
            x = tl.load(x_ptr + at, mask=mine, other=0.0).to(tl.float32)
            sum_t += x * by_t
            sum_h += x * by_h
            sum_w += x * by_w
            tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=mine)
    _store_parts(parts_ptr, row, sum_t, sum_h, sum_w, c, C)
