"""ONNX, of standard operations alone, with any batch size."""

import collections
import pathlib

import jax
import numpy as np
import onnx
from jax.extend.core import Literal

from vidshift.export.onnx_graph import Graph, NoRuleError, Value
from vidshift.export.onnx_rules import RULES
from vidshift.export.program import PortableProgram

SYMBOLIC = True


def write(program: PortableProgram, path: pathlib.Path) -> dict:
    """Writes a program; says which operations and arrays are in it.

    Raises:
      NoRuleError: an operation that has no counterpart in `onnx_rules`.
    """
    model = convert(program)
    path.write_bytes(model.SerializeToString())
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    arrays = [*graph.value_info, *graph.input, *graph.output]
    operations = collections.Counter(node.op_type for node in graph.node)
    return {
        "operations": dict(sorted(operations.items())),
        "max_rank": max(len(a.type.tensor_type.shape.dim) for a in arrays),
        "opset": model.opset_import[0].version,
    }


def convert(program: PortableProgram) -> onnx.ModelProto:
    """Converts the program's equations one after another, by the table of rules."""
    closed = jax.make_jaxpr(program.function)(*program.shapes)
    graph, jaxpr = Graph(program.batch), closed.jaxpr
    values: dict = {
        var: graph.constant(array)
        for var, array in zip(jaxpr.constvars, closed.consts, strict=True)
    }
    inputs = [graph.made(name, like) for name, like in program.inputs]
    values |= dict(zip(jaxpr.invars, inputs, strict=True))
    if graph.batch is not None:
        # The free size is that of an axis of the first input.
        axis = [isinstance(n, int) for n in inputs[0].shape].index(False)
        sizes = graph.add("Shape", [inputs[0].name])
        at = graph.weight(np.array([axis], np.int64))
        graph.batch_name = graph.add("Gather", [sizes, at], axis=0)

    def read(atom) -> Value:
        return graph.constant(atom.val) if isinstance(atom, Literal) else values[atom]

    needed = _needed(jaxpr)
    for eqn in jaxpr.eqns:
        if id(eqn) not in needed:
            continue
        given = [read(atom) for atom in eqn.invars]
        if given and all(_whole(v) for v in given) and _fixed(eqn):
            found = eqn.primitive.bind(*(v.array for v in given), **eqn.params)
            several = eqn.primitive.multiple_results
            found = [graph.constant(a) for a in (found if several else [found])]
        else:
            rule = RULES.get(eqn.primitive.name)
            if rule is None:
                raise NoRuleError(f"onnx: no rule for JAX's {eqn.primitive.name}")
            found = rule(graph, eqn, *given)
            found = found if isinstance(found, list) else [found]
        values |= dict(zip(eqn.outvars, found, strict=True))
    results = [read(atom) for atom in jaxpr.outvars]
    names = [name for name, _ in program.outputs]
    return graph.model(inputs, list(zip(names, results, strict=True)))


def _whole(value: Value) -> bool:
    """Says whether a value is a constant that has all its sizes."""
    return value.array is not None and value.array.shape == tuple(value.shape)


def _fixed(eqn) -> bool:
    """Says whether no size of an equation's results depends on the batch."""
    return all(isinstance(n, int) for var in eqn.outvars for n in var.aval.shape)


def _needed(jaxpr) -> set[int]:
    """Returns the ids of the equations that a result depends on."""
    wanted, found = set(jaxpr.outvars), set()
    for eqn in reversed(jaxpr.eqns):
        if wanted.intersection(eqn.outvars):
            found.add(id(eqn))
            wanted.update(a for a in eqn.invars if not isinstance(a, Literal))
    return found
