"""The evaluator of Triton's IR: what it computes, and what it refuses."""

import ml_dtypes
import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed (Linux only)")
import triton.language as tl

from tests.support.ttir.launch import compile_to_ttir, run
from tests.support.ttir.parser import parse


def execute(kernel, *arrays, outputs=(), programs=1, **constants):
    """Runs a kernel; outputs are arrays that give a shape and a dtype."""
    dtypes = [a.dtype for a in (*arrays, *outputs)]
    function = parse(compile_to_ttir(kernel, dtypes, constants))
    names = [name for name in kernel.arg_names if name not in constants]
    buffers = run(function, names, arrays, outputs, programs)
    return [buffer.array for buffer in buffers[len(arrays) :]]


@triton.jit
def integers_kernel(a_ptr, b_ptr, y_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    a = tl.load(a_ptr + i)
    b = tl.load(b_ptr + i)
    unsigned = a.to(tl.uint32, bitcast=True)
    tl.store(y_ptr + i, a // b)
    tl.store(y_ptr + N + i, a % b)
    tl.store(y_ptr + 2 * N + i, (a ^ b) | (a << 3) & (b >> 2))
    tl.store(y_ptr + 3 * N + i, (unsigned >> 5).to(tl.int32, bitcast=True))
    tl.store(y_ptr + 4 * N + i, (unsigned // 7).to(tl.int32, bitcast=True))
    tl.store(y_ptr + 5 * N + i, a * 2**30 - b)
    tl.store(y_ptr + 6 * N + i, (unsigned > 5).to(tl.int32) - (a > 5).to(tl.int32))
    tl.store(y_ptr + 7 * N + i, a.to(tl.int8).to(tl.int32))


def test_integers_wrap_and_divide_as_in_c():
    rng = np.random.default_rng(0)
    a = rng.integers(-(2**31), 2**31, 64, np.int32)
    b = rng.integers(1, 100, 64).astype(np.int32) * np.int32([1, -1]).repeat(32)
    (y,) = execute(integers_kernel, a, b, outputs=[np.zeros((8, 64), np.int32)], N=64)
    bits, wide = a.view(np.uint32), a.astype(np.int64)
    quotient = np.trunc(a.astype(np.float64) / b).astype(np.int32)
    expected = [
        quotient,
        a - quotient * b,
        (a ^ b) | (a << 3) & (b >> 2),
        (bits >> 5).view(np.int32),
        (bits // 7).view(np.int32),
        ((wide * 2**30 - b + 2**31) % 2**32 - 2**31).astype(np.int32),
        (bits > 5).astype(np.int32) - (a > 5),
        a.astype(np.int8),
    ]
    np.testing.assert_array_equal(y, expected)


@triton.jit
def floats_kernel(x_ptr, y_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.load(x_ptr + i)
    other = tl.load(x_ptr + N - 1 - i)
    tl.store(y_ptr + i, tl.maximum(x, other))
    tl.store(y_ptr + N + i, tl.minimum(x, other, propagate_nan=tl.PropagateNan.ALL))
    tl.store(y_ptr + 2 * N + i, tl.exp(tl.floor(x)) / (tl.abs(other) + 1.0))
    tl.store(y_ptr + 3 * N + i, x.to(tl.bfloat16).to(tl.float32))
    tl.store(y_ptr + 4 * N + i, x.to(tl.int32, bitcast=True).to(tl.float32))
    tl.store(
        y_ptr + 5 * N + i,
        tl.where((x > 0) | (x <= 0), 4.0, tl.where(x < other, 2.0, 3.0)),
    )
    tl.store(y_ptr + 6 * N + i, tl.load(x_ptr + i, mask=i < 5))


def test_floats_treat_nan_and_rounding_as_a_gpu_does():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(64).astype(np.float32)
    x[:2] = np.nan, np.inf
    (y,) = execute(floats_kernel, x, outputs=[np.zeros((7, 64), np.float32)], N=64)
    other = x[::-1]
    expected = [
        np.fmax(x, other),
        np.minimum(x, other),
        np.exp(np.floor(x)) / (np.abs(other) + 1),
        x.astype(ml_dtypes.bfloat16).astype(np.float32),
        x.view(np.int32).astype(np.float32),
        np.where(np.isnan(x), np.where(x < other, 2, 3), 4),
        np.where(np.arange(64) < 5, x, np.nan),  # masked, with no other value
    ]
    np.testing.assert_allclose(y, np.float32(expected), rtol=1e-6)


@triton.jit
def words_kernel(x_ptr, y_ptr, N: tl.constexpr, ASM: tl.constexpr):
    """Swaps the two bfloat16 of each word, and doubles them."""
    i = tl.arange(0, N)
    x = tl.load(x_ptr.to(tl.pointer_type(tl.uint32), bitcast=True) + i)
    low = (x << 16).to(tl.float32, bitcast=True)
    high = (x & 0xFFFF0000).to(tl.float32, bitcast=True)
    values = [2.0 * low, 2.0 * high]
    y = tl.inline_asm_elementwise(ASM, "=r,f,f", values, tl.uint32, True, 1)
    tl.store(y_ptr.to(tl.pointer_type(tl.uint32), bitcast=True) + i, y)


def test_words_of_two_elements():
    x = np.arange(1, 17).astype(ml_dtypes.bfloat16)
    asm = "cvt.rn.bf16x2.f32 $0, $1, $2;"
    (y,) = execute(words_kernel, x, outputs=[np.zeros_like(x)], N=8, ASM=asm)
    np.testing.assert_array_equal(y, 2 * x.reshape(8, 2)[:, ::-1].reshape(-1))
    with pytest.raises(IndexError, match="x_ptr has 14 elements"):
        execute(words_kernel, x[:14], outputs=[np.zeros_like(x)], N=8, ASM=asm)
    with pytest.raises(NotImplementedError, match="assembly is not known"):
        execute(words_kernel, x, outputs=[np.zeros_like(x)], N=8, ASM="mov.u32 $0, 0;")


@triton.jit
def rounds_kernel(n_ptr, y_ptr):
    """Each program leaves its loops after rounds of its own."""
    program = tl.program_id(0)
    n = tl.load(n_ptr + program)
    before = tl.zeros([2], tl.int32)
    here = tl.zeros([2], tl.int32) + 1
    for i in range(n):
        for _ in range(i, n, 2):
            after = before + here + i
            before = here
            here = after
    halvings = 0
    while n > 1:
        n = n // 2
        halvings += 1
    if program % 2 == 0:
        here = here * 2
    else:
        here = here - halvings
    tl.store(y_ptr + program * 2 + tl.arange(0, 2), here)
    if program == 1:
        tl.store(y_ptr + 12, halvings)


def rounds(program, n):
    before, here = 0, 1
    for i in range(n):
        for _ in range(i, n, 2):
            before, here = here, before + here + i
    return here * 2 if program % 2 == 0 else here - max(n.bit_length() - 1, 0)


def test_programs_leave_loops_by_themselves():
    n = np.int32([3, 9, 0, 4, 1, 2])
    (y,) = execute(rounds_kernel, n, outputs=[np.zeros(13, np.int32)], programs=6)
    expected = [rounds(program, int(count)) for program, count in enumerate(n)]
    assert y.tolist() == [*np.repeat(expected, 2), 3]


@triton.jit
def product_kernel(a_ptr, b_ptr, y_ptr, sums_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    at = i[:, None] * N + i[None, :]
    product = tl.dot(tl.trans(tl.load(a_ptr + at)), tl.load(b_ptr + at))
    tl.store(y_ptr + at, product)
    tl.store(sums_ptr + i, tl.sum(product, axis=0))
    tl.store(sums_ptr + N, tl.max(product))


def test_products_are_of_tf32():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 16, 16)).astype(np.float32)
    outputs = [np.zeros((16, 16), np.float32), np.zeros(17, np.float32)]
    y, sums = execute(product_kernel, a, b, outputs=outputs, N=16)
    error = np.abs(y - a.T.astype(np.float64) @ b).max()
    assert 1e-4 < error < 16 * 2**-9
    np.testing.assert_allclose(sums, [*y.sum(axis=0), y.max()], rtol=1e-5, atol=1e-5)


@triton.jit
def load_kernel(x_ptr, y_ptr, FIRST: tl.constexpr):
    i = tl.arange(0, 8)
    tl.store(y_ptr + i, tl.load(x_ptr + FIRST + i, mask=i < 4, other=0))


@triton.jit
def store_kernel(x_ptr, y_ptr, FIRST: tl.constexpr, STEP: tl.constexpr):
    i = tl.arange(0, 8)
    tl.store(y_ptr + FIRST + i * STEP, tl.load(x_ptr + i))


@triton.jit
def race_kernel(x_ptr, y_ptr):
    i = (tl.program_id(0) + tl.arange(0, 8)) % 8
    tl.store(y_ptr + i, i)


@triton.jit
def read_back_kernel(x_ptr, y_ptr):
    i = tl.arange(0, 8)
    tl.store(y_ptr + i, tl.load(y_ptr + i) + 1)


@triton.jit
def write_back_kernel(x_ptr, y_ptr):
    i = tl.arange(0, 8)
    tl.store(x_ptr + i, i)
    tl.store(y_ptr + i, i)


@triton.jit
def divide_kernel(x_ptr, y_ptr):
    i = tl.arange(0, 8)
    tl.store(y_ptr + i, i // tl.load(x_ptr + i))


@triton.jit
def round_kernel(x_ptr, y_ptr):
    i = tl.arange(0, 8)
    tl.store(y_ptr + i, (tl.load(x_ptr + i) / 0.0).to(tl.int32))


@triton.jit
def promise_kernel(x_ptr, y_ptr):
    i = tl.max_contiguous(tl.arange(0, 8) * 2 % 9, 4)
    tl.store(y_ptr + i, tl.load(x_ptr + i))


@triton.jit
def atomic_kernel(x_ptr, y_ptr):
    i = tl.arange(0, 8)
    tl.atomic_add(y_ptr + i, tl.load(x_ptr + i))


@pytest.mark.parametrize(
    ("kernel", "constants", "reason"),
    [
        (load_kernel, {"FIRST": 5}, "x_ptr has 8 elements.* number 8"),
        (load_kernel, {"FIRST": -1}, "x_ptr has 8 elements.* number -1"),
        (store_kernel, {"FIRST": 1, "STEP": 1}, "y_ptr has 8 elements.* number 8"),
        (store_kernel, {"FIRST": 0, "STEP": 0}, "y_ptr is written twice"),
        (race_kernel, {}, "y_ptr is written twice"),
        (read_back_kernel, {}, "y_ptr is an output and is read"),
        (write_back_kernel, {}, "x_ptr is an input and is written"),
        (divide_kernel, {}, "divides by zero.*divsi"),
        (round_kernel, {}, "a float has no integer"),
        (promise_kernel, {}, "tt.contiguity is not"),
        (atomic_kernel, {}, "tt.atomic_rmw is not known here"),
    ],
)
def test_refuses_what_a_gpu_leaves_undefined(kernel, constants, reason):
    x, errors = np.zeros(8, np.int32), (AssertionError, IndexError, NotImplementedError)
    with pytest.raises(errors, match=reason):
        execute(
            kernel,
            x,
            outputs=[x],
            programs=2 if kernel is race_kernel else 1,
            **constants,
        )


def test_refuses_places_that_are_left():
    x = np.zeros(8, np.int32)
    with pytest.raises(AssertionError, match="leaves 1 places of y_ptr"):
        execute(load_kernel, x, outputs=[np.zeros(9, np.int32)], FIRST=0)
