"""The Triton programs of a shift and the product after it. Launched by `gpu`.

Sizes and tiles are named as in `vidshift.kernels.interpolated.gpu_kernels`; K outputs in blocks of
BK. A block of shifted features, `[P, BC]`, is made in registers for one frame, rounded to
x's dtype as it would be in memory, and multiplied.
"""

import triton
import triton.language as tl

from vidshift.kernels.interpolated.gpu_kernels import (
    _far_frame,
    _hat,
    _mix,
    _near_frame,
    _or_nan,
    _places,
    _range,
    _shift,
    _tile,
)


@triton.jit
def _near_shifted(
    x_ptr, shift_ptr, t, h, w, c, on_map,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Output frame t of the shift, where none is longer than one place."""
    s_t = _shift(shift_ptr, 0, c, C)
    s_h = _shift(shift_ptr, 1, c, C)
    s_w = _shift(shift_ptr, 2, c, C)
    inside = on_map & (c < C)
    own, right, below, both = _near_frame(
        x_ptr, t, inside, h * SH, w * SW, c, s_h, s_w, 0, 0, H, W, C, 1, 1, 1
    )
    # Each channel mixes in the frame before or the one after: the other is not read.
    early = inside & (s_t < 0) & (t > 0)
    own_b, right_b, below_b, both_b = _near_frame(
        x_ptr, t - 1, early, h * SH, w * SW, c, s_h, s_w, 0, 0, H, W, C, 1, 1, 1
    )
    late = inside & (s_t > 0) & (t + 1 < T)
    own_a, right_a, below_a, both_a = _near_frame(
        x_ptr, t + 1, late, h * SH, w * SW, c, s_h, s_w, 0, 0, H, W, C, 1, 1, 1
    )
    own_n = tl.where(s_t < 0, own_b, own_a)
    right_n = tl.where(s_t < 0, right_b, right_a)
    below_n = tl.where(s_t < 0, below_b, below_a)
    both_n = tl.where(s_t < 0, both_b, both_a)
    if WHOLE:
        here = tl.where(
            s_h == 0,
            tl.where(s_w == 0, own, right),
            tl.where(s_w == 0, below, both),
        )
        next = tl.where(
            s_h == 0,
            tl.where(s_w == 0, own_n, right_n),
            tl.where(s_w == 0, below_n, both_n),
        )
        y = _or_nan(tl.where(s_t == 0, here, next), s_t + s_h + s_w)
    else:
        here, _by_h, _by_w = _mix(own, right, below, both, s_h, s_w)
        next, _by_h, _by_w = _mix(own_n, right_n, below_n, both_n, s_h, s_w)
        y = here + tl.abs(s_t) * (next - here)
    return tl.where(inside, y, 0).to(x_ptr.dtype.element_ty)


@triton.jit
def _far_shifted(
    x_ptr, shift_ptr, t, h0, w0, h, w, c, on_map,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RT: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Output frame t of the shift, whatever it is."""
    MIX: tl.constexpr = not WHOLE
    s_t = _shift(shift_ptr, 0, c, C)
    s_h = _shift(shift_ptr, 1, c, C)
    s_w = _shift(shift_ptr, 2, c, C)
    inside = on_map & (c < C)
    first_t, last_t = _range(s_t, -t * ST, T - 1 - t * ST, RT)
    first_h, last_h = _range(s_h, -(h0 + PH - 1) * SH, H - 1 - h0 * SH, RH)
    first_w, last_w = _range(s_w, -(w0 + PW - 1) * SW, W - 1 - w0 * SW, RW)
    y = tl.zeros(inside.shape, x_ptr.dtype.element_ty if WHOLE else tl.float32)
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
    return tl.where(inside, y, 0).to(x_ptr.dtype.element_ty)


@triton.jit
def conv_forward_kernel(
    x_ptr, shift_ptr, weight_ptr, scale_ptr, bias_ptr, y_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RT: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    WHOLE: tl.constexpr, RELU: tl.constexpr, NEAR: tl.constexpr,
    TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, P: tl.constexpr,
    BC: tl.constexpr, BK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    T2: tl.constexpr = (T + ST - 1) // ST
    H2: tl.constexpr = (H + SH - 1) // SH
    W2: tl.constexpr = (W + SW - 1) // SW
    row, b, t0, h0, w0, h, w, k, inside = _tile(
        T2, H2, W2, K, TC, PH, PW, P, BK, VECTOR
    )
    _b, _t0, _h0, _w0, _h, _w, on_map = _places(row, T2, H2, W2, TC, PH, PW, P)
    x_ptr += b * T * (H * W * C)
    y_ptrs = y_ptr + b * T2 * (H2 * W2 * K) + ((h * W2 + w) * K + k)
    scale = tl.load(scale_ptr + k, mask=k < K, other=0.0)
    bias = tl.load(bias_ptr + k, mask=k < K, other=0.0)
    for frame in range(t0, tl.minimum(t0 + TC, T2)):
        t = tl.cast(frame, tl.int64)
        y = tl.zeros([P, BK], tl.float32)
        for c0 in range(0, C, BC):
            c = c0 + tl.max_contiguous(tl.arange(0, BC), VECTOR)
            if NEAR:
                moved = _near_shifted(
                    x_ptr, shift_ptr, t, h, w, c[None, :], on_map,
                    T, H, W, C, SH, SW, WHOLE,
                )  # fmt: skip
            else:
                moved = _far_shifted(
                    x_ptr, shift_ptr, frame, h0, w0, h, w, c[None, :], on_map,
                    T, H, W, C, ST, SH, SW, RT, RH, RW, PH, PW, WHOLE,
                )  # fmt: skip
            weight = tl.load(
                weight_ptr + c[:, None] * K + k,
                mask=(c[:, None] < C) & (k < K),
                other=0.0,
            )
            y = tl.dot(moved, weight, acc=y)
        y = y * scale + bias
        if RELU:
            y = tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL)
        at = y_ptrs + t * (H2 * W2 * K)
        tl.store(at, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def conv_weight_kernel(
    x_ptr, shift_ptr, dy_ptr, parts_ptr,
    T: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr,
    K: tl.constexpr, ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    RT: tl.constexpr, RH: tl.constexpr, RW: tl.constexpr,
    WHOLE: tl.constexpr, NEAR: tl.constexpr, TILES: tl.constexpr, RUN: tl.constexpr,
    TC: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, P: tl.constexpr,
    BC: tl.constexpr, BK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """The transpose of the shifted x times dy, summed over RUN of the TILES of places."""
    T2: tl.constexpr = (T + ST - 1) // ST
    H2: tl.constexpr = (H + SH - 1) // SH
    W2: tl.constexpr = (W + SW - 1) // SW
    BLOCKS_K: tl.constexpr = (K + BK - 1) // BK
    BLOCKS_C: tl.constexpr = (C + BC - 1) // BC
    program = tl.program_id(0)
    part = program // (BLOCKS_K * BLOCKS_C)
    c = program // BLOCKS_K % BLOCKS_C * BC + tl.max_contiguous(
        tl.arange(0, BC), VECTOR
    )
    k = (program % BLOCKS_K * BK + tl.max_contiguous(tl.arange(0, BK), VECTOR))[None, :]
    sums = tl.zeros([BC, BK], tl.float32)
    for tile in range(part * RUN, tl.minimum(part * RUN + RUN, TILES)):
        b, t0, h0, w0, h, w, on_map = _places(tile, T2, H2, W2, TC, PH, PW, P)
        clip_ptr = x_ptr + b * T * (H * W * C)
        dy_ptrs = dy_ptr + b * T2 * (H2 * W2 * K) + ((h * W2 + w) * K + k)
        for frame in range(t0, tl.minimum(t0 + TC, T2)):
            t = tl.cast(frame, tl.int64)
            if NEAR:
                moved = _near_shifted(
                    clip_ptr, shift_ptr, t, h, w, c[None, :], on_map,
                    T, H, W, C, SH, SW, WHOLE,
                )  # fmt: skip
            else:
                moved = _far_shifted(
                    clip_ptr, shift_ptr, frame, h0, w0, h, w, c[None, :], on_map,
                    T, H, W, C, ST, SH, SW, RT, RH, RW, PH, PW, WHOLE,
                )  # fmt: skip
            dy = tl.load(dy_ptrs + t * (H2 * W2 * K), mask=on_map & (k < K), other=0.0)
            sums = tl.dot(tl.trans(moved), dy, acc=sums)
    at = parts_ptr + part.to(tl.int64) * (C * K) + (c[:, None] * K + k)
    tl.store(at, sums, mask=(c[:, None] < C) & (k < K))
