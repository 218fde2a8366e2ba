"""Finds, in the text of Triton's kernels, two names for one tensor where a loop begins.

Triton carries a name through a loop if one visit of the body leaves another object under
it. After `here = before`, a body that ends with `before = here; here = after` leaves the
same object under `before`: it stays what it was before the loop, without an error.
"""

import ast
import itertools
from pathlib import Path

# Calls that may give back the object that they are given.
PASSES_ON = (
    *("to", "cast", "broadcast_to", "view", "reshape"),
    *("multiple_of", "max_contiguous", "max_constancy"),
)


def jit_functions(files: list[Path]) -> dict[str, ast.FunctionDef]:
    """Name -> each function that Triton compiles."""
    return {
        node.name: node
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d).startswith("triton.jit") for d in node.decorator_list)
    }


def called_names(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def shared_names(functions: dict[str, ast.FunctionDef]) -> list[str]:
    """Describes each place where two names that one loop changes begin as one tensor."""
    return [
        f"{name}, line {line}: {first} and {second}"
        for name, function in functions.items()
        for line, first, second in (
            *_assigned(function.body, []),
            *_returned(function),
            *_passed(function, functions),
        )
    ]


def _assigned(block, loops_after):
    """`loops_after`: of each loop that may follow the block, the names that it changes."""
    for i, statement in enumerate(block):
        later = [*_loops(block[i + 1 :]), *loops_after]
        for first, second in _one_tensor(statement):
            if any({first, second} <= changed for changed in later):
                yield statement.lineno, first, second
        # Within a loop's body the names are those of its next round.
        inner = [] if isinstance(statement, ast.For | ast.While) else later
        for part in ("body", "orelse"):
            yield from _assigned(getattr(statement, part, []), inner)


def _returned(function):
    """Names that a function returns twice: its caller has two names for one tensor."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield from _twice(node.value.elts, [""] * len(node.value.elts))


def _passed(function, functions):
    """Names passed for two parameters that a loop of the called function changes."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in functions:
            continue
        callee = functions[node.func.id]
        parameters = [a.arg for a in callee.args.args]
        for line, first, second in _twice(node.args, parameters):
            if any({first, second} <= changed for changed in _loops(callee.body)):
                yield line, first, second


def _twice(values, labels):
    """Pairs of labels, or else of names, whose values may be one object."""
    labelled = zip(values, labels, strict=False)
    for (one, first), (other, second) in itertools.combinations(labelled, 2):
        for name in _origins(one) & _origins(other):
            yield one.lineno, first or name, second or name


def _one_tensor(statement):
    """Pairs of names that may be one object after an assignment."""
    if not isinstance(statement, ast.Assign):
        return
    parts = []
    for target in statement.targets:
        pair = target, statement.value
        if all(isinstance(side, ast.Tuple) for side in pair):
            parts += zip(target.elts, statement.value.elts, strict=True)
        else:
            parts.append(pair)
    assigned = [(t.id, v) for t, v in parts if isinstance(t, ast.Name)]
    for name, value in assigned:
        yield from ((name, other) for other in _origins(value) - {name})
    for (first, one), (second, other) in itertools.combinations(assigned, 2):
        if one is other or _origins(one) & _origins(other):
            yield first, second


def _loops(block) -> list[set[str]]:
    return [
        {node.id for node in ast.walk(loop) if _is_stored(node)}
        for statement in block
        for loop in ast.walk(statement)
        if isinstance(loop, ast.For | ast.While)
    ]


def _is_stored(node) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _origins(value) -> set[str]:
    """The names whose object an expression may be."""
    if isinstance(value, ast.Name):
        return {value.id}
    if isinstance(value, ast.IfExp):
        return _origins(value.body) | _origins(value.orelse)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if value.func.attr not in PASSES_ON:
            return set()
        of_language = ast.unparse(value.func.value) == "tl"
        return _origins(value.args[0] if of_language else value.func.value)
    return set()
