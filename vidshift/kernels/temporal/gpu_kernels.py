"""The Triton programs of the temporal shift. Launched by `vidshift.kernels.temporal.gpu`.

x is `[A, T, R, C]` and is read as rows of C channels, A * T * R of them: the next frame
of a row is R rows further, so a tile of rows may cross frames and clips. A row is in
frame `row // R % T`. Rows are counted in 32 bits, elements in 64.

Channels [0, FOLD) read the frame FIRST later than their own, [FOLD, 2 FOLD) the one
SECOND later, the others their own; zero outside the clip. The transpose is the same with
-FIRST and -SECOND. Where FOLD is a multiple of a block of channels, all of a block have
one source frame and their address is one number; otherwise each channel has its own, and
VECTOR neighbours of them, which FOLD and C are multiples of, still lie side by side.

All sizes are known when it is compiled: T, R, C, K of the product's weights `[C, K]`, and
tiles of BR rows, BC channels, BK filters.

Loads are pipelined `cp.async`. TMA needs a descriptor: made by the kernel it needs scratch
memory, for which jax-triton 0.3.1 passes no pointer, and it makes none on the host.
"""

import triton
import triton.language as tl


@triton.jit
def _step(c, FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Returns by how many frames channel c reads ahead of its own frame."""
    return tl.where(c < FOLD, FIRST, tl.where(c < 2 * FOLD, SECOND, 0))


@triton.jit
def _frames(
    step, MOST: tl.constexpr, R: tl.constexpr, N: tl.constexpr, LEAST: tl.constexpr
):
    """Elements from a frame of R rows of N to the one that is step later, at most MOST.

    In 32 bits where `LEAST` more of them, those of a tile, can be added to it.
    """
    if MOST * R * N + LEAST < 2**31:
        return step * (R * N)
    else:
        return tl.cast(step, tl.int64) * (R * N)


@triton.jit
def _shifted(
    x_ptr, i, t, inside, c0,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, FOLD: tl.constexpr,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
    BR: tl.constexpr, BC: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """A tile `[BR, BC]` of the shifted x: rows i after x_ptr's, of frames t."""
    c = c0 + tl.arange(0, BC)
    if FOLD % BC == 0:
        step = _step(c0, FOLD, FIRST, SECOND)
        mask = (inside & (t + step >= 0) & (t + step < T))[:, None]
        x_ptr += tl.cast(step, tl.int64) * (R * C)
        source = c
    else:
        step = _step(c // VECTOR * VECTOR, FOLD, FIRST, SECOND)
        frame = t[:, None] + step[None, :]
        mask = inside[:, None] & (frame >= 0) & (frame < T)
        mask = tl.max_constancy(mask, [1, VECTOR])
        source = c + _frames(step, 1, R, C, BR * C + BC)
        source = tl.max_contiguous(tl.multiple_of(source, VECTOR), VECTOR)
    if C % BC != 0:
        mask = mask & (c < C)[None, :]
    else:
        mask = tl.broadcast_to(mask, (BR, BC))
    return tl.load(x_ptr + (i * C)[:, None] + source[None, :], mask=mask, other=0.0)


@triton.jit
def shift_kernel(
    x_ptr, y_ptr, ROWS: tl.constexpr,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, FOLD: tl.constexpr,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
    BLOCK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """BLOCK elements of y, side by side, whatever rows they are in."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    first_row = start // C
    at = (start - first_row * C).to(tl.int32) + tl.arange(0, BLOCK)
    row = first_row.to(tl.int32) + at // C
    step = _step(at % C, FOLD, FIRST, SECOND)
    frame = row // R % T + step
    inside = tl.max_constancy(row < ROWS, VECTOR)
    moved = tl.max_constancy(inside & (frame >= 0) & (frame < T), VECTOR)
    source = at + _frames(step, 1, R, C, BLOCK + C)
    source = tl.max_contiguous(tl.multiple_of(source, VECTOR), VECTOR)
    y = tl.load(x_ptr + first_row * C + source, mask=moved, other=0)
    tl.store(y_ptr + start + tl.arange(0, BLOCK), y, mask=inside)


@triton.jit
def _filters(w_ptr, c0, k, C: tl.constexpr, K: tl.constexpr, BC: tl.constexpr):
    """The weights of channels from c0 and filters k."""
    c = c0 + tl.arange(0, BC)
    return tl.load(
        w_ptr + (c * K)[:, None] + k[None, :],
        mask=(c < C)[:, None] & (k < K)[None, :],
        other=0.0,
    )


@triton.jit
def _finish(
    y_ptr, y, scale_ptr, bias_ptr, i, inside, k, K: tl.constexpr,
    SCALE: tl.constexpr, BIAS: tl.constexpr, RELU: tl.constexpr,
):  # fmt: skip
    """Stores `relu(scale * y + bias)` as rows i after y_ptr's, filters k."""
    if SCALE:
        y *= tl.load(scale_ptr + k, mask=k < K, other=0.0)[None, :]
    if BIAS:
        y += tl.load(bias_ptr + k, mask=k < K, other=0.0)[None, :]
    if RELU:
        y = tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(
        y_ptr + (i * K)[:, None] + k[None, :],
        y.to(y_ptr.dtype.element_ty),
        mask=inside[:, None] & (k < K)[None, :],
    )


@triton.jit
def shift_conv_kernel(
    x_ptr, w_ptr, scale_ptr, bias_ptr, y_ptr, ROWS: tl.constexpr,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
    FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
    SCALE: tl.constexpr, BIAS: tl.constexpr, RELU: tl.constexpr,
    STRIDE: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr, BK: tl.constexpr,
    VECTOR: tl.constexpr,
):  # fmt: skip
    """Tiles of `relu(scale * (shift(x) @ w) + bias)`.

    Where all channels fit in a block, a program keeps its filters' weights and computes
    every STRIDE-th tile of rows; otherwise it has one tile. Programs with the same rows of
    x are neighbours, and find them in the L2 cache.
    """
    program = tl.program_id(0)
    first = program // ((K + BK - 1) // BK)
    i = tl.arange(0, BR)
    k = program % ((K + BK - 1) // BK) * BK + tl.arange(0, BK)
    if C <= BC:
        w = _filters(w_ptr, 0, k, C, K, BC)
        for tile in range(first, (ROWS + BR - 1) // BR, STRIDE):
            row0 = tile * BR
            inside = row0 + i < ROWS
            x = _shifted(
                x_ptr + row0.to(tl.int64) * C, i, (row0 + i) // R % T, inside, 0,
                T, R, C, FOLD, FIRST, SECOND, BR, BC, VECTOR,
            )  # fmt: skip
            y = tl.dot(x, w, input_precision="ieee")
            _finish(
                y_ptr + row0.to(tl.int64) * K, y, scale_ptr, bias_ptr, i, inside, k, K,
                SCALE, BIAS, RELU,
            )  # fmt: skip
    else:
        row0 = first * BR
        t = (row0 + i) // R % T
        inside = row0 + i < ROWS
        x_ptr += row0.to(tl.int64) * C
        y = tl.zeros([BR, BK], tl.float32)
        for c0 in range(0, C, BC):
            x = _shifted(
                x_ptr, i, t, inside, c0, T, R, C, FOLD, FIRST, SECOND, BR, BC, VECTOR
            )
            y = tl.dot(x, _filters(w_ptr, c0, k, C, K, BC), y, input_precision="ieee")
        _finish(
            y_ptr + row0.to(tl.int64) * K, y, scale_ptr, bias_ptr, i, inside, k, K,
            SCALE, BIAS, RELU,
        )  # fmt: skip


@triton.jit
def _weights(w_ptr, k0, c, C: tl.constexpr, K: tl.constexpr, BK: tl.constexpr):
    """The transpose of the weights: filters from k0, channels c."""
    k = k0 + tl.arange(0, BK)
    return tl.load(
        w_ptr + (c * K)[None, :] + k[:, None],
        mask=(c < C)[None, :] & (k < K)[:, None],
        other=0.0,
    )


@triton.jit
def _gradients(dz_ptr, i, inside, k0, K: tl.constexpr, BK: tl.constexpr):
    """A tile of dz: rows i after dz_ptr's, filters from k0."""
    k = k0 + tl.arange(0, BK)
    return tl.load(
        dz_ptr + (i * K)[:, None] + k[None, :],
        mask=inside[:, None] & (k < K)[None, :],
        other=0.0,
    )


@triton.jit
def _move_back(
    dx_ptr, dx, i, t, inside, c0,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, FOLD: tl.constexpr,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
    BR: tl.constexpr, BC: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """Stores rows i after dx_ptr's, of frames t, where the shift read them.

    A frame that is moved out of the clip leaves one at the other end that the shift
    never read: that one becomes zero.
    """
    c = c0 + tl.arange(0, BC)
    if FOLD % BC == 0:
        frame = (t + _step(c0, FOLD, FIRST, SECOND))[:, None]
    else:
        step = _step(c // VECTOR * VECTOR, FOLD, FIRST, SECOND)
        frame = t[:, None] + step[None, :]
    dx = tl.where((frame >= 0) & (frame < T), dx, 0.0).to(dx_ptr.dtype.element_ty)
    moved = tl.where(frame < 0, frame + T, tl.where(frame < T, frame, frame - T))
    at = _frames(moved - t[:, None], T, R, C, BR * C + BC) + (i * C)[:, None]
    at += c[None, :]
    mask = inside[:, None] & (c < C)[None, :]
    if FOLD % BC != 0:
        at = tl.max_contiguous(tl.multiple_of(at, [1, VECTOR]), [1, VECTOR])
    tl.store(dx_ptr + at, dx, mask=mask)


@triton.jit
def shift_conv_dx_kernel(
    dz_ptr, w_ptr, dx_ptr, ROWS: tl.constexpr,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
    FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
    STRIDE: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr, BK: tl.constexpr,
    VECTOR: tl.constexpr,
):  # fmt: skip
    """Tiles of `dz @ w^T`, each channel stored in the frame that it was read from.

    Where all filters fit in a block, a program keeps its channels' weights and computes
    every STRIDE-th tile of rows; otherwise it has one tile.
    """
    program = tl.program_id(0)
    c0 = program % ((C + BC - 1) // BC) * BC
    first = program // ((C + BC - 1) // BC)
    i = tl.arange(0, BR)
    c = c0 + tl.arange(0, BC)
    if K <= BK:
        w = _weights(w_ptr, 0, c, C, K, BK)
        for tile in range(first, (ROWS + BR - 1) // BR, STRIDE):
            row0 = tile * BR
            inside = row0 + i < ROWS
            dz = _gradients(dz_ptr + row0.to(tl.int64) * K, i, inside, 0, K, BK)
            dx = tl.dot(dz, w, input_precision="ieee")
            _move_back(
                dx_ptr + row0.to(tl.int64) * C, dx, i, (row0 + i) // R % T, inside, c0,
                T, R, C, FOLD, FIRST, SECOND, BR, BC, VECTOR,
            )  # fmt: skip
    else:
        row0 = first * BR
        inside = row0 + i < ROWS
        dz_ptr += row0.to(tl.int64) * K
        dx = tl.zeros([BR, BC], tl.float32)
        for k0 in range(0, K, BK):
            dz = _gradients(dz_ptr, i, inside, k0, K, BK)
            w = _weights(w_ptr, k0, c, C, K, BK)
            dx = tl.dot(dz, w, dx, input_precision="ieee")
        _move_back(
            dx_ptr + row0.to(tl.int64) * C, dx, i, (row0 + i) // R % T, inside, c0,
            T, R, C, FOLD, FIRST, SECOND, BR, BC, VECTOR,
        )  # fmt: skip


@triton.jit
def shift_conv_dw_kernel(
    x_ptr, dz_ptr, parts_ptr, ROWS: tl.constexpr,
    T: tl.constexpr, R: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
    FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, PART: tl.constexpr,
    BR: tl.constexpr, BC: tl.constexpr, BK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """A tile of `shift(x)^T @ dz` over PART rows, a multiple of BR."""
    program = tl.program_id(0)
    k = program % ((K + BK - 1) // BK) * BK + tl.arange(0, BK)
    tile = program // ((K + BK - 1) // BK)
    c0 = tile % ((C + BC - 1) // BC) * BC
    part = tile // ((C + BC - 1) // BC)
    i = tl.arange(0, BR)
    c = c0 + tl.arange(0, BC)
    dw = tl.zeros([BC, BK], tl.float32)
    for tile_of_part in range(PART // BR):
        row0 = part * PART + tile_of_part * BR
        t = (row0 + i) // R % T
        inside = row0 + i < ROWS
        x = _shifted(
            x_ptr + row0.to(tl.int64) * C, i, t, inside, c0,
            T, R, C, FOLD, FIRST, SECOND, BR, BC, VECTOR,
        )  # fmt: skip
        dz = tl.load(
            dz_ptr + row0.to(tl.int64) * K + (i * K)[:, None] + k[None, :],
            mask=inside[:, None] & (k < K)[None, :],
            other=0.0,
        )
        dw = tl.dot(tl.trans(x), dz, dw, input_precision="ieee")
    tl.store(
        parts_ptr + part.to(tl.int64) * (C * K) + (c * K)[:, None] + k[None, :],
        dw,
        mask=(c < C)[:, None] & (k < K)[None, :],
    )
