"""Evaluates TTIR on NumPy arrays, all programs of a grid at once.

A value is an array with an axis of programs first, of length 1 where all programs have
the same. In a loop that some programs leave earlier, those wait: `self.active` masks
what they would load, store or carry on.
"""

import itertools
import re

import numpy as np

from tests.support.ttir import operations
from tests.support.ttir.memory import Pointer, Words
from tests.support.ttir.parser import Block, Function, Operation

# What a kernel promises of n neighbours, and the compiler believes.
PROMISES = {
    "tt.contiguity": lambda group, n: group == group[..., :1] + np.arange(n),
    "tt.constancy": lambda group, n: group == group[..., :1],
    "tt.divisibility": lambda group, n: group[..., :1] % n == 0,
}


def evaluate(function: Function, buffers, programs: np.ndarray) -> None:
    """Runs the programs of a one-dimensional grid with these numbers.

    Raises:
      NotImplementedError: the IR has an operation that is not known here.
      IndexError, AssertionError: the kernel did what a GPU leaves undefined.
    """
    evaluator = Evaluator(programs)
    start = np.zeros(1, np.int64)
    for name, buffer in zip(function.arguments, buffers, strict=True):
        evaluator.values[name] = Pointer(buffer, start)
    with np.errstate(all="ignore"):
        evaluator.run(function.body)


class Evaluator:
    """The values of a function's names so far, and the programs that are at work."""

    def __init__(self, programs):
        self.programs = programs.astype(np.int32)
        self.active = np.ones(len(programs), bool)
        self.values = {}

    def run(self, block: Block, arguments=()) -> list:
        """Runs a block and returns what its last operation hands on."""
        self.values.update(zip(block.arguments, arguments, strict=True))
        for operation in block.operations:
            if operation.name in ENDS:
                return self.operands(operation)
            results = self.results(operation)
            self.values.update(zip(operation.results, results, strict=True))
            for key in PROMISES.keys() & operation.attributes.keys():
                self.check_promise(key, operation, results[0])
        return []

    def operands(self, operation: Operation) -> list:
        return [self.values[name] for name in operation.operands]

    def results(self, operation: Operation) -> list:
        name = operation.name
        if name in CONTROL:
            return CONTROL[name](self, operation)
        operands = self.operands(operation)
        if name in TENSORS:
            result = TENSORS[name](self, operation, *operands)
            return [] if result is None else [result]
        if name in operations.CASTS:
            to = operation.types[-1].dtype
            if name == "arith.fptosi":
                bad = operations.outside(operands[0], to)
                self.require(~bad, f"a float has no integer: {operation.line}")
            return [operations.CASTS[name](*operands, to)]
        if name not in operations.ELEMENTWISE:
            # Atomics too: no order of programs is the one that a GPU takes.
            raise NotImplementedError(f"{name} is not known here: {operation.line}")
        if name[6:] in ("divsi", "remsi", "divui", "remui"):
            self.require(operands[1] != 0, f"divides by zero: {operation.line}")
        result = operations.ELEMENTWISE[name](*operands)
        expected = operation.types[-1]
        # What folds an axis is written for scalars, and is given rows of them.
        shape = expected.shape or result.shape[1:]
        if (result.dtype, result.shape[1:]) != (expected.dtype, shape):
            raise TypeError(f"{result.dtype}{result.shape[1:]}: {operation.line}")
        return [result]

    def require(self, condition, message: str) -> None:
        """Raises where a condition does not hold in a program that has not left a loop."""
        if not (condition | ~self.lanes(condition.ndim)).all():
            raise AssertionError(message)

    def lanes(self, ndim: int, mask=True) -> np.ndarray:
        """A mask, without the lanes of programs that wait."""
        return self.active.reshape(-1, *[1] * (ndim - 1)) & mask

    def check_promise(self, key, operation, value):
        counts = operation.attributes[key]
        if len(counts) == 1:  # written once for all axes
            counts = counts * (value.ndim - 1)
        for axis, n in enumerate(counts, start=1):
            lanes = np.moveaxis(value, axis, -1)
            groups = lanes.reshape(*lanes.shape[:-1], -1, n)
            holds = PROMISES[key](groups, n).all(axis=-1)
            self.require(holds, f"{key} is not {counts}: {operation.line}")

    # Control flow.

    def loop(self, operation: Operation) -> list:
        names = operation.operands
        low, high, step = (self.values[name] for name in names[1:4])
        carried = [self.values[name] for name in names[5::2]]
        block = operation.blocks[0]._replace(arguments=[names[0], *names[4::2]])
        for i in itertools.count():
            index = low + np.array(i, low.dtype) * step
            going = index < high
            carried, went = self.where(
                going,
                lambda index=index, carried=carried: self.run(block, [index, *carried]),
                carried,
            )
            if not went:
                return carried

    def while_loop(self, operation: Operation) -> list:
        before, after = operation.blocks
        names = operation.operands
        before = before._replace(arguments=names[0::2])
        carried = [self.values[name] for name in names[1::2]]
        entered, results = self.active, None
        while True:
            going, *handed = self.run(before, carried)
            results = (
                handed if results is None else self.chosen(self.active, handed, results)
            )
            self.active = self.active & going
            if not self.active.any():
                self.active = entered
                return results
            stepped = self.run(after, handed)
            carried = self.chosen(self.active, stepped, carried)

    def branch(self, operation: Operation) -> list:
        condition = self.values[operation.operands[0]]
        results, _ = self.where(condition, lambda: self.run(operation.blocks[0]), None)
        if len(operation.blocks) == 1:
            return []
        other, _ = self.where(
            ~condition, lambda: self.run(operation.blocks[1]), results
        )
        return other

    def where(self, condition, run, otherwise):
        """Runs a block for the programs of which a condition holds."""
        entered = self.active
        self.active = entered & condition
        if not self.active.any():
            self.active = entered
            return otherwise, False
        results = run()
        chosen = self.active
        self.active = entered
        if otherwise is not None and not (chosen | ~entered).all():
            results = self.chosen(chosen, results, otherwise)
        return results, True

    def chosen(self, programs, results, otherwise):
        return [
            self.choose(programs, r, o) for r, o in zip(results, otherwise, strict=True)
        ]

    def choose(self, programs, result, otherwise):
        if isinstance(result, Pointer):
            if result.buffer is not otherwise.buffer:
                raise NotImplementedError("one of two buffers")
            offset = self.choose(programs, result.offset, otherwise.offset)
            return Pointer(result.buffer, offset)
        programs = programs.reshape(-1, *[1] * (result.ndim - 1))
        return np.where(programs, result, otherwise)

    def select(self, operation, condition, a, b):
        condition = condition.reshape(
            *condition.shape, *[1] * (a.ndim - condition.ndim)
        )
        return np.where(condition, a, b)

    def reduce(self, operation: Operation) -> list:
        """Folds an axis, of a power of two, by halves."""
        block = operation.blocks[0]
        axis = operation.attributes["axis"][0] + 1
        values = [self.values[name] for name in operation.operands]
        while values[0].shape[axis] > 1:
            halves = [np.split(value, 2, axis) for value in values]
            values = self.run(block, [half[n] for n in (0, 1) for half in halves])
        return [value.squeeze(axis) for value in values]

    # Tensors.

    def program_id(self, operation):
        if operation.words != ["x"]:
            raise NotImplementedError(f"grids have one axis here: {operation.line}")
        return self.programs

    def constant(self, operation):
        kind = operation.types[-1] if operation.types else None
        text = operation.words[0].removeprefix("dense<").removesuffix(">")
        if text in ("true", "false"):
            shape = kind.shape if kind else ()
            return np.full((1, *shape), text == "true")
        if text.startswith("0x"):  # the bits of a float, such as nan
            bits = np.array(int(text, 16), f"u{kind.dtype.itemsize}")
            return np.full((1, *kind.shape), bits.view(kind.dtype))
        number = float(text) if kind.dtype.kind not in "iu" else int(text)
        return np.full((1, *kind.shape), number, kind.dtype)

    def make_range(self, operation):
        start, end = operation.attributes["start"][0], operation.attributes["end"][0]
        return np.arange(start, end, dtype=np.int32)[None]

    def splat(self, operation, value):
        return self.broadcast(
            operation,
            self.map(
                value, lambda a: a.reshape(-1, *[1] * len(operation.types[-1].shape))
            ),
        )

    def broadcast(self, operation, value):
        shape = operation.types[-1].shape
        return self.map(value, lambda a: np.broadcast_to(a, (a.shape[0], *shape)))

    def expand_dims(self, operation, value):
        axis = operation.attributes["axis"][0] + 1
        return self.map(value, lambda a: np.expand_dims(a, axis))

    def reshape(self, operation, value):
        # Where the compiler may take any order, this takes one that nobody would expect.
        step = -1 if "allow_reorder" in operation.words else 1
        shape = operation.types[-1].shape
        return value.reshape(value.shape[0], -1)[:, ::step].reshape(-1, *shape)

    def trans(self, operation, value):
        order = operation.attributes["order"]
        return value.transpose(0, *[axis + 1 for axis in order])

    def map(self, value, function):
        if isinstance(value, Pointer):
            return Pointer(value.buffer, function(value.offset))
        return function(value)

    def bitcast(self, operation, value):
        to = operation.types[-1].dtype
        if not isinstance(value, Pointer):
            return operations.CASTS["tt.bitcast"](value, to)
        if value.offset.any():
            raise NotImplementedError(f"not from an array's start: {operation.line}")
        return Pointer(Words(value.buffer, to), value.offset)

    def addptr(self, operation, pointer, offset):
        return Pointer(pointer.buffer, pointer.offset + offset.astype(np.int64))

    def load(self, operation, pointer, mask=True, otherwise=None):
        """Without a value for lanes that are masked these are nan, or all ones."""
        dtype = operation.types[0].dtype
        if otherwise is None:
            otherwise = np.array(-1, f"i{dtype.itemsize}").view(dtype)
        mask = self.lanes(pointer.offset.ndim, mask)
        offset, mask = np.broadcast_arrays(pointer.offset, mask)
        return pointer.buffer.load(offset, mask, otherwise)

    def store(self, operation, pointer, value, mask=True):
        mask = self.lanes(pointer.offset.ndim, mask)
        offset, mask = np.broadcast_arrays(pointer.offset, mask)
        pointer.buffer.store(offset, mask, value)

    def inline_asm(self, operation, *values):
        """Runs the PTX that is known here; what it does to the L2 cache is nothing."""
        (text,) = re.findall(r'elementwise_inline_asm "([^"]*)"', operation.line)
        if text not in operations.INLINE_ASM:
            raise NotImplementedError(
                f"the assembly is not known here: {operation.line}"
            )
        return operations.INLINE_ASM[text](*values)

    def dot(self, operation, a, b, sums):
        if a.dtype == np.float32 and "tf32" in operation.words:
            a, b = operations.truncate_to_tf32(a), operations.truncate_to_tf32(b)
        elif "inputPrecision" in operation.words and "tf32" not in operation.words:
            raise NotImplementedError(operation.line)
        return np.matmul(a.astype(np.float32), b.astype(np.float32)) + sums


ENDS = (
    "scf.yield",
    "scf.condition",
    "tt.reduce.return",
    "tt.return",
)
CONTROL = {
    "scf.for": Evaluator.loop,
    "scf.while": Evaluator.while_loop,
    "scf.if": Evaluator.branch,
    "tt.reduce": Evaluator.reduce,
}
TENSORS = {
    "arith.select": Evaluator.select,
    "arith.constant": Evaluator.constant,
    "arith.cmpi": lambda self, of, a, b: operations.compare_integers(of.words[0], a, b),
    "arith.cmpf": lambda self, of, a, b: operations.compare_floats(of.words[0], a, b),
    "tt.get_program_id": Evaluator.program_id,
    "tt.make_range": Evaluator.make_range,
    "tt.splat": Evaluator.splat,
    "tt.broadcast": Evaluator.broadcast,
    "tt.expand_dims": Evaluator.expand_dims,
    "tt.reshape": Evaluator.reshape,
    "tt.trans": Evaluator.trans,
    "tt.bitcast": Evaluator.bitcast,
    "tt.addptr": Evaluator.addptr,
    "tt.load": Evaluator.load,
    "tt.store": Evaluator.store,
    "tt.dot": Evaluator.dot,
    "tt.elementwise_inline_asm": Evaluator.inline_asm,
}
