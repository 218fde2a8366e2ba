"""Bytes that a compiled program moves, counted from its optimised HLO.

Each top-level instruction of the entry computation reads its operands and writes its
results, as many bytes as the arrays take in memory: dimensions padded to the layout's
tile. Arrays in another memory (`S(1)`, VMEM) and instructions that only rename do not
count, an asynchronous copy counts once, a slice reads what it returns. A fusion that
reads a part of an operand is counted as reading all of it: an upper bound.
"""

import math
import re
from typing import NamedTuple

KERNEL_TARGETS = ("tpu_custom_call", "triton_kernel_call", "__gpu$xla.gpu.triton")
RENAMES = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota"),
    *("after-all", "opt-barrier", "partition-id", "replica-id", "add-dependency"),
}
# They name buffers that slices side by side have filled already.
RENAMING_TARGETS = ("ConcatBitcast", "SliceBitcast", "AllocateBuffer")

_SHAPE = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(r"(?:calls|to_apply|body|async_wrapped_computation)=%([\w.\-]+)")
_BRANCHES = re.compile(
    r"(?:branch_computations=\{|(?:true|false)_computation=)([^},]+)"
)


class Instruction(NamedTuple):
    shape: str
    opcode: str
    operands: list[str]
    attributes: str


class Moved(NamedTuple):
    """Bytes without those of the kernels; how many kernels; what is not exact."""

    size_bytes: int
    kernels: int = 0
    notes: frozenset[str] = frozenset()

    def __add__(self, other):
        return Moved(*(a + b for a, b in zip(self[:2], other[:2])), self[2] | other[2])


def program_bytes(text: str) -> Moved:
    """Counts the entry computation of `compiled.as_text()`."""
    computations, entry = _parse(text)
    return _count(computations, entry)


def estimated_cycles(text: str) -> int | None:
    """The sum of the TPU compiler's estimates; None where a kernel or nothing has one."""
    computations, entry = _parse(text)
    if any(_is_kernel(i) for i in computations[entry].values()):
        return None
    cycles = [
        int(n)
        for i in computations[entry].values()
        for n in re.findall(r'"estimated_cycles":"(\d+)"', i.attributes)
    ]
    return sum(cycles) if cycles else None


def entry_layouts(text: str) -> str | None:
    """`(operands)->results` with their layouts, as the compiler chose them."""
    match = re.search(r"entry_computation_layout=\{(.*?->.*?)\}, \w+=", text)
    return match and match[1]


def stored_bytes(shape: str, *, anywhere: bool = False) -> int:
    """Bytes in the main memory of a shape or tuple, with its layout's padding.

    `anywhere` counts other memories too.
    """
    total = 0
    for dtype, dims, layout in _SHAPE.findall(shape):
        if dtype in ("token", "opaque") or ("S(" in layout and not anywhere):
            continue
        bits = 8 if dtype == "pred" else int(re.search(r"\d+", dtype)[0])
        sizes = [int(d) for d in dims.split(",") if d]
        order = [int(d) for d in layout.split(":")[0].split(",") if d]
        sizes = [sizes[d] for d in order] or sizes[::-1]  # the innermost first
        tile = re.search(r"T\(([\d,]+)\)", layout)
        if tile:
            for i, t in enumerate(reversed(tile[1].split(","))):
                if i < len(sizes):
                    sizes[i] = -(-sizes[i] // int(t)) * int(t)
        total += math.prod(sizes) * bits // 8
    return total


def _count(computations, name: str) -> Moved:
    instructions = computations[name]
    total = Moved(0)
    for instruction in instructions.values():
        total += _moved(instruction, instructions, computations)
    return total


def _moved(instruction: Instruction, instructions, computations) -> Moved:
    shape, opcode, operands, attributes = instruction
    arrays = [instructions[o].shape for o in operands if o in instructions]
    called = _CALLED.findall(attributes)
    if opcode in RENAMES or opcode.endswith("-done"):
        return Moved(0)
    if _is_kernel(instruction):
        return Moved(0, kernels=1)
    if opcode == "custom-call" and _target(attributes) in RENAMING_TARGETS:
        return Moved(0)
    if opcode == "copy-start":
        return Moved(stored_bytes(shape))  # (to, from, context)
    if opcode in ("slice", "dynamic-slice"):
        return Moved(_sliced(shape, arrays[0]))
    if opcode == "slice-start":  # ((from), to, context)
        return Moved(_sliced(_elements(shape)[1], arrays[0]))
    if opcode == "dynamic-update-slice":  # in place
        return Moved(_sliced(arrays[1], shape) + stored_bytes(arrays[1]))
    if opcode == "while":
        once = _count(computations, called[0])
        trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', attributes)
        if trips:
            return once._replace(size_bytes=once.size_bytes * int(trips[1]))
        return once._replace(notes=once.notes | {"a loop is counted once"})
    if opcode == "conditional":
        branches = _BRANCHES.findall(attributes.replace(", %", ";%"))
        names = [n.strip().lstrip("%") for b in branches for n in b.split(";")]
        most = max((_count(computations, n) for n in names), key=lambda m: m[:2])
        return most._replace(notes=most.notes | {"of branches, the one moving most"})
    if opcode in ("call", "async-start") and called:
        return _count(computations, called[0])
    return Moved(stored_bytes(shape) + sum(map(stored_bytes, dict.fromkeys(arrays))))


def _sliced(part: str, source: str) -> int:
    """Reads a part of `source` and writes it, each where it is in main memory."""
    read = stored_bytes(part, anywhere=True) if stored_bytes(source) else 0
    return read + stored_bytes(part)


def _target(attributes: str) -> str:
    match = re.search(r'custom_call_target="([^"]+)"', attributes)
    return match[1] if match else ""


def _is_kernel(instruction: Instruction) -> bool:
    return _target(instruction.attributes) in KERNEL_TARGETS


def _parse(text: str):
    """-> {computation: {name: Instruction}}, the entry computation's name."""
    computations, entry, current = {}, None, None
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        header = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if header:
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        match = re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (.*)", line)
        if match and current is not None:
            current[match[1]] = _instruction(match[2])
    return computations, entry


def _instruction(text: str) -> Instruction:
    end = _end(text, " ")
    shape, rest = text[:end], text[end + 1 :]
    opcode, rest = rest.split("(", 1)
    end = _end("(" + rest, None) - 1
    operands = re.findall(r"%([\w.\-]+)", rest[:end])
    return Instruction(shape, opcode, operands, rest[end + 1 :])


def _end(text: str, stop: str | None) -> int:
    """Where brackets are closed: at the first `stop` outside them, or at the last one."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "({[") - (character in ")}]")
        if depth == 0 and stop in (None, character):
            return i
    return len(text)


def _elements(shape: str) -> list[str]:
    """The members of a tuple's shape."""
    members, rest = [], shape[1:-1]
    while rest:
        end = _end(rest, ",")
        members.append(rest[:end])
        rest = rest[end + 1 :].lstrip()
    return members
