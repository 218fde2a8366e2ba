"""JAX's operations as ONNX's: a table, from a primitive's name to what makes its nodes.

A rule is (graph, equation, *values) -> value, or a list where there are several.
"""

import functools
import math

import jax
import numpy as np
from jax import lax

from vidshift.export.onnx_graph import Graph, NoRuleError, Value, size_of

# Of the same name and meaning, value by value.
ELEMENTWISE = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "erf": "Erf",
    "pow": "Pow",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "not": "Not",
    "stop_gradient": "Identity",
    "copy": "Identity",
    "copy_p": "Identity",
}
REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax"}
REDUCTIONS |= {"reduce_min": "ReduceMin"}


def elementwise(graph: Graph, eqn, *values: Value, make=None) -> Value:
    """Computes in the order of axes that the largest argument is stored in."""
    aval = eqn.outvars[0].aval
    rank = len(aval.shape)
    full = [v for v in values if len(v.shape) == rank]
    stored = [v for v in full if v.array is None]
    order = max(stored, key=lambda v: size_of(v.stored)).order if stored else None
    order = tuple(range(rank)) if order is None else order
    names = [
        graph.ordered(v, order if len(v.shape) == rank else range(len(v.shape)))
        for v in values
    ]
    make = make or ELEMENTWISE[eqn.primitive.name]
    name = graph.add(make, names) if isinstance(make, str) else make(graph, *names)
    # What no argument has in full the result has not either.
    sizes = aval.shape
    for axis in range(rank):
        if all(_is_one(v.stored[axis]) for v in full):
            sizes = (*sizes[:axis], 1, *sizes[axis + 1 :])
    return graph.made(name, aval, order=order, stored=sizes)


def _is_one(size) -> bool:
    return isinstance(size, int) and size == 1


def maximum(graph, eqn, x, y):
    zero = [v for v in (x, y) if v.array is not None and not v.array.any()]
    if zero and x.array is None and np.issubdtype(x.dtype, np.floating):
        return elementwise(graph, eqn, x, make="Relu")
    return elementwise(graph, eqn, x, y)


def with_one(operation):
    """Makes a rule of a function of one tensor, such as Reciprocal(Sqrt(x))."""
    return functools.partial(elementwise, make=operation)


def integer_pow(graph, eqn, x):
    exponent = graph.weight(np.array(eqn.params["y"], x.dtype))
    return elementwise(graph, eqn, x, make=lambda g, n: g.add("Pow", [n, exponent]))


def not_equal(g, x, y):
    return g.add("Not", [g.add("Equal", [x, y])])


def is_finite(g, x):
    return g.add("Not", [g.add("Or", [g.add("IsNaN", [x]), g.add("IsInf", [x])])])


def cast(graph, eqn, x):
    from onnx import helper

    to = helper.np_dtype_to_tensor_dtype(np.dtype(eqn.params["new_dtype"]))
    return elementwise(graph, eqn, x, make=lambda g, n: g.add("Cast", [n], to=to))


def select(graph, eqn, which, *cases):
    if which.dtype != np.bool_ or len(cases) != 2:
        raise NoRuleError("select_n of other than two cases")

    def where(g, which, no, yes):
        return g.add("Where", [which, yes, no])

    return elementwise(graph, eqn, which, *cases, make=where)


def clamp(graph, eqn, low, x, high):
    def between(g, low, x, high):
        return g.add("Min", [g.add("Max", [x, low]), high])

    return elementwise(graph, eqn, low, x, high, make=between)


def transpose(graph, eqn, x):
    permuted = eqn.params["permutation"]
    return Value(
        x.name,
        tuple(x.shape[i] for i in permuted),
        tuple(x.stored[i] for i in permuted),
        tuple(x.order[i] for i in permuted),
        x.dtype,
        None if x.array is None else np.transpose(x.array, permuted),
    )


def reshape(graph, eqn, x):
    aval = eqn.outvars[0].aval
    return graph.made(_reshaped(graph, graph.plain(x), aval.shape), aval)


def _reshaped(graph, name, shape):
    free = [axis for axis, n in enumerate(shape) if not isinstance(n, int)]
    if len(free) == 1:
        shape = [-1 if axis == free[0] else n for axis, n in enumerate(shape)]
    return graph.add("Reshape", [name, graph.integers(shape)], allowzero=0)


def broadcast_in_dim(graph, eqn, x, *sizes):
    """Adds axes; ONNX spreads them where they are computed with."""
    aval, places = eqn.outvars[0].aval, eqn.params["broadcast_dimensions"]
    stored = [1] * len(aval.shape)
    for axis, place in enumerate(places):
        stored[place] = x.stored[axis]
    if x.array is not None:
        return graph.constant(x.array.reshape(stored), aval.shape)
    if len(places) == len(stored):
        return graph.made(x.name, aval, order=x.order, stored=stored)
    name = graph.ordered(x, range(len(x.shape)))
    return graph.made(_reshaped(graph, name, stored), aval, stored=stored)


def concatenate(graph, eqn, *values):
    axis, aval = eqn.params["dimension"], eqn.outvars[0].aval
    values = [graph.spread(v) for v in values]
    live = [v for v in values if v.array is None]
    order = max(live, key=lambda v: size_of(v.shape)).order
    names = [graph.ordered(v, order) for v in values]
    name = graph.add("Concat", names, axis=order[axis])
    return graph.made(name, aval, order=order)


def stack(graph, eqn, *values):
    axis, aval = eqn.params["axis"], eqn.outvars[0].aval
    at = graph.weight(np.array([axis], np.int64))
    names = [graph.add("Unsqueeze", [graph.plain(v), at]) for v in values]
    return graph.made(graph.add("Concat", names, axis=axis), aval)


def split(graph, eqn, x):
    axis, sizes = eqn.params["axis"], eqn.params["sizes"]
    ends = np.cumsum(sizes)
    x = graph.spread(x)
    return [
        _slice(graph, x, var.aval, {axis: (end - size, end, 1)})
        for var, size, end in zip(eqn.outvars, sizes, ends, strict=True)
    ]


def _slice(graph, x: Value, aval, parts: dict) -> Value:
    """Slices some axes, each by (start, end, step)."""
    starts, ends, steps = zip(*parts.values(), strict=True)
    axes = [x.order[axis] for axis in parts]
    name = graph.add(
        "Slice",
        [
            graph.ordered(x, x.order),
            *(graph.integers(numbers) for numbers in (starts, ends, axes, steps)),
        ],
    )
    return graph.made(name, aval, order=x.order)


def slice_(graph, eqn, x):
    x = graph.spread(x)
    given = eqn.params
    strides = given["strides"] or (1,) * len(x.shape)
    each = zip(given["start_indices"], given["limit_indices"], strides, strict=True)
    parts = {
        axis: part for axis, part in enumerate(each) if part != (0, x.shape[axis], 1)
    }
    return _slice(graph, x, eqn.outvars[0].aval, parts) if parts else x


def pad(graph, eqn, x, value):
    aval = eqn.outvars[0].aval
    low, high, between = zip(*eqn.params["padding_config"], strict=True)
    if any(between):
        raise NoRuleError("pad between elements")
    x = graph.spread(x)
    cut = {}
    for axis, (a, b) in enumerate(zip(low, high, strict=True)):
        a, b = (n if isinstance(n, int) else max(n, 0) for n in (a, b))
        if isinstance(a, int) and isinstance(b, int) and min(a, b) < 0:
            cut[axis] = (max(-a, 0), x.shape[axis] - max(-b, 0), 1)
    if cut:
        sizes = list(x.shape)
        for axis, (start, end, _) in cut.items():
            sizes[axis] = end - start
        x = _slice(graph, x, jax.ShapeDtypeStruct(tuple(sizes), x.dtype), cut)
    pads = [0] * 2 * len(x.order)
    for axis, at in enumerate(x.order):
        for side, n in enumerate((low[axis], high[axis])):
            pads[side * len(x.order) + at] = max(n, 0) if isinstance(n, int) else n
    name = graph.ordered(x, x.order)
    if any(not isinstance(n, int) or n for n in pads):
        name = graph.add("Pad", [name, graph.integers(pads), graph.plain(value)])
    return graph.made(name, aval, order=x.order)


def iota(graph, eqn):
    """Stores only the axis that counts."""
    aval, axis = eqn.outvars[0].aval, eqn.params["dimension"]
    size, dtype = aval.shape[axis], np.dtype(aval.dtype)
    stored = [1] * len(aval.shape)
    stored[axis] = size
    if isinstance(size, int):
        return graph.constant(np.arange(size, dtype=dtype).reshape(stored), aval.shape)
    end = graph.add("Squeeze", [graph.integers([size])])
    if dtype != np.int64:
        end = graph.add("Cast", [end], to=6 if dtype == np.int32 else 1)
    zero, one = (graph.weight(np.array(n, dtype)) for n in (0, 1))
    name = graph.add("Range", [zero, end, one])
    return graph.made(_reshaped(graph, name, stored), aval, stored=stored)


def reduction(graph, eqn, x):
    aval, x = eqn.outvars[0].aval, graph.spread(x)
    axes = eqn.params["axes"]
    gone = [x.order[axis] for axis in axes]
    kept = [at for axis, at in enumerate(x.order) if axis not in axes]
    name = graph.add(
        REDUCTIONS[eqn.primitive.name],
        [graph.ordered(x, x.order), graph.integers(sorted(gone))],
        keepdims=0,
    )
    return graph.made(name, aval, order=np.argsort(np.argsort(kept)).tolist())


def convolution(graph, eqn, x, kernel):
    given, numbers = eqn.params, eqn.params["dimension_numbers"]
    pads = given["padding"]
    if any(n != 1 for n in given["lhs_dilation"]) or given["batch_group_count"] != 1:
        raise NoRuleError("a transposed convolution")
    if kernel.array is None:
        raise NoRuleError("a convolution whose kernel is computed from clips")
    name = graph.add(
        "Conv",
        [
            graph.ordered(graph.spread(x), np.argsort(numbers.lhs_spec)),
            graph.weight(np.transpose(kernel.array, numbers.rhs_spec)),
        ],
        strides=list(given["window_strides"]),
        pads=[low for low, _ in pads] + [high for _, high in pads],
        dilations=list(given["rhs_dilation"]),
        group=given["feature_group_count"],
    )
    return graph.made(name, eqn.outvars[0].aval, order=np.argsort(numbers.out_spec))


def dot_general(graph, eqn, x, y):
    (of_x, of_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    aval = eqn.outvars[0].aval
    last = len(x.shape) - 1
    weights = y.array is not None and len(y.shape) == 2 and tuple(of_x) == (last,)
    if weights and last == 3:
        # A 1x1 convolution, in the order of axes that the others are in.
        order = (2, 3, 0, 1)
        kernel = y.array.T if of_y[0] == 0 else y.array
        kernel = graph.weight(kernel[:, :, None, None])
        name = graph.add("Conv", [graph.ordered(graph.spread(x), order), kernel])
        return graph.made(name, aval, order=order)
    free_x = [a for a in range(len(x.shape)) if a not in (*of_x, *batch_x)]
    free_y = [a for a in range(len(y.shape)) if a not in (*of_y, *batch_y)]
    x, y = graph.spread(x), graph.spread(y)
    first = _matrices(graph, x, batch_x, free_x, of_x)
    second = _matrices(graph, y, batch_y, of_y, free_y)
    name = graph.add("MatMul", [first, second])
    return graph.made(_reshaped(graph, name, aval.shape), aval)


def _matrices(graph, x, batch, rows, columns) -> str:
    """Reshapes x to matrices, one for each of the batch; the free size is -1."""
    axes = [*batch, *rows, *columns]
    moved = [x.shape[axis] for axis in axes]
    order = [axes.index(axis) for axis in range(len(axes))]
    groups = [[x.shape[axis] for axis in part] for part in (batch, rows, columns)]
    groups = groups if batch else groups[1:]
    sizes = [math.prod(part) for part in groups]
    name = graph.ordered(x, order)
    return name if list(moved) == sizes else _reshaped(graph, name, sizes)


def window(graph, eqn, x):
    """Pools with windows over all axes but two."""
    given, aval = eqn.params, eqn.outvars[0].aval
    if any(n != 1 for n in (*given["base_dilation"], *given["window_dilation"])):
        raise NoRuleError("pooling with dilation")
    sizes, strides, pads = (
        given[name] for name in ("window_dimensions", "window_strides", "padding")
    )
    rank = len(sizes)
    plain = [a for a in range(rank) if (sizes[a], strides[a], *pads[a]) == (1, 1, 0, 0)]
    if len(plain) < 2:
        raise NoRuleError(f"pooling over {rank - len(plain)} of {rank} axes")
    outer = plain[-2:]
    axes = [*outer, *(a for a in range(rank) if a not in outer)]
    order = np.argsort(axes).tolist()
    inner = axes[2:]
    attributes = {
        "kernel_shape": [sizes[a] for a in inner],
        "strides": [strides[a] for a in inner],
        "pads": [pads[a][0] for a in inner] + [pads[a][1] for a in inner],
    }
    name = graph.ordered(graph.spread(x), order)
    if eqn.primitive.name == "reduce_window_max":
        return graph.made(graph.add("MaxPool", [name], **attributes), aval, order=order)
    name = graph.add("AveragePool", [name], count_include_pad=1, **attributes)
    number = graph.weight(np.array(math.prod(sizes), np.float32))
    return graph.made(graph.add("Mul", [name, number]), aval, order=order)


def gather(graph, eqn, x, indices):
    """Takes full slices at positions of one axis (`jnp.take`), or one slice."""
    given, aval = eqn.params, eqn.outvars[0].aval
    numbers = given["dimension_numbers"]
    axes = numbers.start_index_map
    sliced = not numbers.collapsed_slice_dims and not numbers.operand_batching_dims
    if indices.array is not None and indices.array.ndim == 1 and sliced:
        # What JAX makes of x[..., :n] where another size is free.
        places = zip(axes, indices.array.tolist(), strict=True)
        sizes = given["slice_sizes"]
        parts = {axis: (at, at + sizes[axis], 1) for axis, at in places}
        return _slice(graph, graph.spread(x), aval, parts)
    whole = all(
        size == (1 if axis in axes else n)
        for axis, (size, n) in enumerate(
            zip(given["slice_sizes"], x.shape, strict=True)
        )
    )
    taken = tuple(a for a in range(len(aval.shape)) if a not in numbers.offset_dims)
    in_place = taken == tuple(range(axes[0], axes[0] + len(indices.shape) - 1))
    in_place &= len(axes) == 1 or taken == tuple(axes)
    if (
        indices.array is None
        or tuple(numbers.collapsed_slice_dims) != tuple(axes)
        or numbers.operand_batching_dims
        or not (whole and in_place)
    ):
        raise NoRuleError("gather other than of places that are known, along its axes")
    name = graph.plain(x)
    for i, axis in enumerate(axes):
        name = _take(graph, name, x.shape[axis], axis, i, indices.array, given["mode"])
    return graph.made(name, aval)


def _take(graph, name, size, axis, i, indices, mode) -> str:
    """Takes along one axis after another, at independent positions."""
    places = indices[..., i]
    if indices.shape[-1] > 1:
        alone = np.moveaxis(places, i, 0).reshape(places.shape[i], -1)
        if (alone != alone[:, :1]).any():
            raise NoRuleError("gather of places that are no grid")
        places = alone[:, 0]
    if not isinstance(size, int):
        raise NoRuleError("gather along the batch")
    inside = np.clip(places, 0, size - 1)
    if mode != lax.GatherScatterMode.CLIP and (inside != places).any():
        raise NoRuleError("gather of places outside the array")
    return graph.add("Gather", [name, graph.weight(inside.astype(np.int64))], axis=axis)


RULES = {name: elementwise for name in ELEMENTWISE}
RULES |= {name: reduction for name in REDUCTIONS}
RULES |= {
    "max": maximum,
    "rsqrt": with_one(lambda g, x: g.add("Reciprocal", [g.add("Sqrt", [x])])),
    "square": with_one(lambda g, x: g.add("Mul", [x, x])),
    "ne": with_one(not_equal),
    "is_finite": with_one(is_finite),
    "integer_pow": integer_pow,
    "convert_element_type": cast,
    "select_n": select,
    "clamp": clamp,
    "transpose": transpose,
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "broadcast_in_dim": broadcast_in_dim,
    "concatenate": concatenate,
    "stack": stack,
    "split": split,
    "slice": slice_,
    "pad": pad,
    "iota": iota,
    "conv_general_dilated": convolution,
    "dot_general": dot_general,
    "reduce_window_max": window,
    "reduce_window_sum": window,
    "gather": gather,
}
