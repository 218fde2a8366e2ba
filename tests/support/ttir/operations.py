"""What each element-wise operation of TTIR computes, on NumPy arrays.

`ELEMENTWISE` has the operations whose result has the type of their last operand;
`CASTS` takes the result's type too. Integers wrap around, as they do on a GPU.
"""

import ml_dtypes
import numpy as np


def _unsigned(a):
    return a if a.dtype == np.bool_ else a.view(f"u{a.dtype.itemsize}")


def _by_unsigned(function):
    def run(a, b):
        return function(_unsigned(a), _unsigned(b)).view(a.dtype)

    return run


def _divide(a, b):
    """Rounds towards zero, where NumPy rounds down. By zero it is undefined: 0 here."""
    b = np.where(b == 0, np.ones_like(b), b)
    quotient = a // b
    return quotient + ((a % b != 0) & ((a < 0) != (b < 0))).astype(a.dtype)


def _remainder(a, b):
    return a - _divide(a, b) * b


ELEMENTWISE = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": _divide,
    "arith.remsi": _remainder,
    "arith.divui": _by_unsigned(_divide),
    "arith.remui": _by_unsigned(_remainder),
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": np.left_shift,
    "arith.shrsi": np.right_shift,
    "arith.shrui": _by_unsigned(np.right_shift),
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    # maximumf gives nan if either is nan, maxnumf the other one.
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "math.absf": np.abs,
    "math.absi": np.abs,
    "math.floor": np.floor,
    "math.ceil": np.ceil,
    "math.exp": np.exp,
    "math.sqrt": np.sqrt,
    "math.fma": lambda a, b, c: a * b + c,
}

CASTS = {
    # A bit as a signed number is 0 or -1.
    "arith.extsi": lambda a, to: -a.astype(to) if a.dtype == np.bool_ else a.astype(to),
    "arith.extui": lambda a, to: _unsigned(a).astype(to),
    "arith.trunci": lambda a, to: (a & 1 if to == np.bool_ else a).astype(to),
    "arith.extf": lambda a, to: a.astype(to),
    "arith.truncf": lambda a, to: a.astype(to),
    "arith.sitofp": lambda a, to: a.astype(to),
    "arith.uitofp": lambda a, to: _unsigned(a).astype(to),
    "arith.fptosi": lambda a, to: a.astype(to),
    "arith.bitcast": lambda a, to: a.view(to),
    "tt.bitcast": lambda a, to: a.view(to),
}


def _pack_bfloat16(high, low):
    """Rounds two float32 to the halves of a word."""
    halves = np.stack(np.broadcast_arrays(low, high), axis=-1).astype(
        ml_dtypes.bfloat16
    )
    return halves.view(np.int32).squeeze(-1)


def _prefetch(at):
    """Moves nothing that counts; a place outside of the array is a mistake, though."""
    if ((at.offset < 0) | (at.offset >= at.buffer.data.size)).any():
        raise IndexError("prefetches what is outside of an array")
    return np.zeros(at.offset.shape, np.int32)


INLINE_ASM = {
    "cvt.rn.bf16x2.f32 $0, $1, $2;": _pack_bfloat16,
    "prefetch.global.L2 [$1]; mov.u32 $0, 0;": _prefetch,
}

INTEGER_COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    **{
        sign + name: function
        for sign in "su"
        for name, function in {
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
        }.items()
    },
}


def compare_integers(predicate: str, a, b):
    compared = INTEGER_COMPARISONS[predicate]
    if predicate.startswith("u"):
        a, b = _unsigned(a), _unsigned(b)
    return compared(a, b)


def compare_floats(predicate: str, a, b):
    """`olt` is false where either is nan, `ult` true."""
    if predicate in ("ord", "uno"):
        return (np.isnan(a) | np.isnan(b)) == (predicate == "uno")
    name = predicate[1:]
    compared = INTEGER_COMPARISONS[name if name in ("eq", "ne") else "s" + name]
    either_nan = np.isnan(a) | np.isnan(b)
    return np.where(either_nan, predicate[0] == "u", compared(a, b))


def outside(a, to) -> np.ndarray:
    """Tells where a float has no integer of a type: the cast would give anything."""
    limits = np.iinfo(to)
    return ~((a >= limits.min) & (a < float(limits.max) + 1))


def truncate_to_tf32(a):
    """Leaves 10 bits of a float32's fraction: what a tensor core reads of it."""
    return (a.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
