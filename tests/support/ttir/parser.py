"""Parses the text of TTIR into operations with nested blocks."""

import re
from typing import NamedTuple

import ml_dtypes
import numpy as np

DTYPES = {
    "i1": np.bool_,
    **{f"i{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    "bf16": ml_dtypes.bfloat16,
    **{f"f{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
DTYPES = {name: np.dtype(dtype) for name, dtype in DTYPES.items()}
VALUE = re.compile(r"%[\w.$-]+(?:#\d+)?")
TYPE = re.compile(
    r"tensor<(?:\d+x)+(?:!tt\.ptr<\w+>|\w+)>|!tt\.ptr<\w+>|\b(?:b?f|i)\d+\b"
)
OPERATION = re.compile(
    r'(?:(?P<results>%.*?) = )?"?(?P<name>[a-z]+\.[\w.]+)"?(?P<rest>.*)'
)


class Type(NamedTuple):
    """A scalar has the shape (); a pointer the type of what it points to."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pointer: bool


class Block(NamedTuple):
    arguments: list[str]
    operations: list["Operation"]


class Operation(NamedTuple):
    name: str
    results: list[str]
    operands: list[str]
    words: list[str]  # between the name and the types: predicates, literals, flags
    attributes: dict[str, list[int]]
    types: list[Type]
    blocks: list[Block]
    line: str


class Function(NamedTuple):
    name: str
    arguments: dict[str, Type]
    body: Block


def parse(text: str) -> Function:
    """Parses a module that has one function, whose helpers are inlined."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    (start,) = (i for i, line in enumerate(lines) if line.startswith("tt.func"))
    header = lines[start]
    types = re.findall(r"(%[\w.$-]+): (!tt\.ptr<\w+>|\w+)", header)
    operations, _, _ = _operations(lines, start + 1)
    return Function(
        re.search(r"@(\w+)", header)[1],
        {name: parse_type(kind) for name, kind in types},
        Block([], operations),
    )


def parse_type(text: str) -> Type:
    pointer = "!tt.ptr<" in text
    text = text.replace("!tt.ptr<", "").removeprefix("tensor<").rstrip(">")
    *shape, kind = text.split("x")
    return Type(tuple(map(int, shape)), DTYPES[kind], pointer)


def _operations(lines, at) -> tuple[list[Operation], str, int]:
    """Reads to the end of a block: the operations, the line that ends it, what follows."""
    operations = []
    while not lines[at].startswith("}"):
        line = lines[at]
        at += 1
        if not line.endswith("{"):
            operations.append(_operation(line, []))
            continue
        header, blocks, end = line[:-1], [], "} {"
        while end.endswith("{"):  # `} else {` and `} do {` begin another block
            arguments = []
            if lines[at].startswith("^"):
                arguments = VALUE.findall(lines[at])
                at += 1
            inner, end, at = _operations(lines, at)
            blocks.append(Block(arguments, inner))
        operations.append(_operation(header, blocks))
    return operations, lines[at], at + 1


def _operation(line: str, blocks: list[Block]) -> Operation:
    match = OPERATION.fullmatch(line)
    if match is None:
        raise ValueError(f"no operation of TTIR: {line}")
    head, attributes = _without_attributes(match["rest"].rstrip("({ "))
    head, _, types = head.partition(" : ")
    return Operation(
        match["name"],
        _results(match["results"] or ""),
        VALUE.findall(head),
        re.findall(r"[^\s,()]+", VALUE.sub("", head)),
        attributes,
        [parse_type(each) for each in TYPE.findall(types)],
        blocks,
        line,
    )


def _results(text: str) -> list[str]:
    """`%a, %b:2` -> `%a`, `%b#0`, `%b#1`."""
    names = []
    for each in text.split(", ") if text else []:
        name, _, count = each.partition(":")
        names += [f"{name}#{n}" for n in range(int(count))] if count else [name]
    return names


def _without_attributes(text: str) -> tuple[str, dict[str, list[int]]]:
    """Cuts `{key = 1 : i32, other = dense<[1, 8]> : tensor<2xi32>}` out of a line."""
    found = re.search(r" ?<?\{.*\}>?", text)
    if found is None:
        return text, {}
    pairs = re.findall(
        r"([\w.]+) = (?:(?:dense|array)?<?)(?:i32: )?(\[?[-\d, ]+\]?)", found[0]
    )
    attributes = {k: [int(n) for n in re.findall(r"-?\d+", v)] for k, v in pairs}
    return text[: found.start()] + text[found.end() :], attributes
