"""An ONNX graph while it is built: values, their order of axes, and sizes that are free."""

import dataclasses
import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 18
IR_VERSION = 8  # of ONNX 1.12, the oldest that knows this set of operations


class NoRuleError(ValueError):
    """An operation of JAX has no counterpart here."""


@dataclasses.dataclass(frozen=True)
class Value:
    """An array of the graph, `[...]` of `shape` as the network sees it.

    Axis i of the network's is axis `order[i]` of the tensor `name`. Sizes in `stored` are
    1 where they are not in `shape` yet: ONNX's arithmetic spreads them by itself.
    """

    name: str
    shape: tuple
    stored: tuple
    order: tuple[int, ...]
    dtype: np.dtype
    array: np.ndarray | None = None  # of a constant, whose order is the network's


class Graph:
    """Nodes and constants of a graph in which one size, `batch`, may be free."""

    def __init__(self, batch):
        self.batch = None if isinstance(batch, int) else batch
        self.nodes, self.weights, self.known = [], [], {}
        self.batch_name = None

    def add(self, operation: str, inputs: list[str], **attributes) -> str:
        """Adds a node of one result, unless it is there; returns the result's name."""
        key = (operation, *inputs, str(sorted(attributes.items())))
        if key not in self.known:
            self.known[key] = f"v{len(self.nodes)}"
            node = helper.make_node(operation, inputs, [self.known[key]], **attributes)
            self.nodes.append(node)
        return self.known[key]

    def weight(self, array) -> str:
        """Stores a tensor; returns its name."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = f"c{len(self.weights)}"
            self.weights.append(numpy_helper.from_array(array, self.known[key]))
        return self.known[key]

    def integers(self, sizes) -> str:
        """Adds a tensor of int64 sizes, of which some may depend on the batch."""
        parts, plain = [], []
        for size in sizes:
            slope, offset = self.linear(size)
            if not slope:
                plain.append(offset)
                continue
            if plain:
                parts.append(self.weight(np.array(plain, np.int64)))
                plain = []
            one = self.batch_name
            if slope != 1:
                one = self.add("Mul", [one, self.weight(np.array([slope], np.int64))])
            if offset:
                one = self.add("Add", [one, self.weight(np.array([offset], np.int64))])
            parts.append(one)
        if plain or not parts:
            parts.append(self.weight(np.array(plain, np.int64)))
        return self.add("Concat", parts, axis=0) if len(parts) > 1 else parts[0]

    def linear(self, size) -> tuple[int, int]:
        """Returns (a, b) of a size a * batch + b."""
        if isinstance(size, int | np.integer):
            return 0, int(size)
        at = [size._evaluate({str(self.batch): n}) for n in (1, 2, 3)]
        slope = at[1] - at[0]
        if at[2] - at[1] != slope:
            raise NoRuleError(f"a size of {size} with a symbolic batch; give --batch N")
        return int(slope), int(at[0] - slope)

    def constant(self, array, shape=None) -> Value:
        array = np.asarray(array)
        shape = array.shape if shape is None else shape
        order = tuple(range(array.ndim))
        return Value("", tuple(shape), array.shape, order, array.dtype, array)

    def made(self, name, aval, *, order=None, stored=None) -> Value:
        """Returns the value of a node."""
        shape, order = (
            tuple(aval.shape),
            range(len(aval.shape)) if order is None else order,
        )
        stored = shape if stored is None else tuple(stored)
        order = tuple(int(axis) for axis in order)
        return Value(name, shape, stored, order, np.dtype(aval.dtype))

    def ordered(self, x: Value, order) -> str:
        """Adds a value's tensor in an order of axes, with sizes as stored."""
        order = tuple(order)
        if x.array is not None:
            return self.weight(np.transpose(x.array, np.argsort(order)))
        if order == x.order:
            return x.name
        perm = [0] * len(order)
        for mine, wanted in zip(x.order, order, strict=True):
            perm[wanted] = mine
        return self.add("Transpose", [x.name], perm=perm)

    def spread(self, x: Value) -> Value:
        """Returns the value with all its sizes stored."""
        if tuple(x.stored) == tuple(x.shape):
            return x
        if x.array is not None and all(isinstance(n, int) for n in x.shape):
            return self.constant(np.broadcast_to(x.array, x.shape))
        sizes = [None] * len(x.order)
        for axis, at in enumerate(x.order):
            sizes[at] = x.shape[axis]
        name = self.ordered(x, x.order)
        name = self.add("Expand", [name, self.integers(sizes)])
        return Value(name, x.shape, x.shape, x.order, x.dtype)

    def plain(self, x: Value) -> str:
        """Adds a value's tensor as the network sees it."""
        x = self.spread(x)
        return self.ordered(x, range(len(x.shape)))

    def model(self, inputs: list[Value], outputs: list[tuple[str, Value]]):
        """Returns the model, checked.

        Args:
          inputs: their names are those of the graph's inputs.
          outputs: names and values.
        """
        for name, value in outputs:
            node = helper.make_node("Identity", [self.plain(value)], [name])
            self.nodes.append(node)
        results = [(name, v.shape, v.dtype) for name, v in outputs]
        given = [(v.name, v.shape, v.dtype) for v in inputs]
        graph = helper.make_graph(
            self.nodes,
            "vidshift",
            [self._typed(*each) for each in given],
            [self._typed(*each) for each in results],
            self.weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="vidshift",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _typed(self, name, shape, dtype):
        sizes = [n if isinstance(n, int) else str(n) for n in shape]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, sizes)


def size_of(shape) -> int:
    """Multiplies the sizes that are known, for choosing the largest array."""
    return math.prod(n for n in shape if isinstance(n, int))
