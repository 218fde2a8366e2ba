"""Counts a compiled program's traffic, in memory and between chips, in its optimised HLO.

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

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
    *("ragged-all-to-all", "collective-permute", "collective-broadcast"),
)

# What a fusion is named for: the first of these among its instructions. "copy" changes
# the layout.
FUSED_KINDS = (
    *("scatter", "gather", "convolution", "dot", "select-and-scatter", "reduce-window"),
    *("sort", "reduce", "transpose", "copy"),
)
PACKAGE = "/vidshift/"
ELSEWHERE = "elsewhere"

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
    """Bytes, of the kernels only if asked for; how many kernels; what is not exact."""

    size_bytes: int
    kernels: int = 0
    notes: frozenset[str] = frozenset()

    def __add__(self, other):
        return Moved(*(a + b for a, b in zip(self[:2], other[:2])), self[2] | other[2])


class LayerTraffic(NamedTuple):
    """Traffic of the instructions of one kind that one of our functions asked for.

    layer: file and function of ours, "shifts/shuffle.py video_shuffle", or ELSEWHERE.
    kind: the instruction, or what a fusion is named for (`FUSED_KINDS`).
    size_bytes: read and written.
    launches: instructions of the entry computation.
    cycles: the TPU compiler's estimates; 0 for a GPU and for kernels.
    """

    layer: str
    kind: str
    size_bytes: int
    launches: int
    cycles: int


class Collective(NamedTuple):
    """Runs of one kind; bytes of a chip's operands, or of an all-gather's results."""

    count: int
    size_bytes: int


def program_bytes(text: str, *, kernels: bool = False) -> Moved:
    """Counts the entry computation of `compiled.as_text()`.

    Args:
      kernels: count what kernels read and write too: each operand and each result in
        main memory once, whatever their grids fetch (`traffic.py` knows that).
    """
    computations, entry = _parse(text)
    return _count(computations, entry, kernels)


def by_layer(text: str) -> list[LayerTraffic]:
    """Groups the entry computation's traffic by our function and by kind, most first.

    A function's gradient counts with it. A fusion belongs to the function that asked for
    its last operation, whatever else it computes.
    """
    computations, entry = _parse(text)
    layers = _layers(text)
    instructions = computations[entry]
    rows: dict[tuple[str, str], LayerTraffic] = {}
    for instruction in instructions.values():
        opcode = instruction.opcode
        if opcode in RENAMES or opcode.endswith("-done"):
            continue
        if _target(instruction.attributes) in RENAMING_TARGETS:
            continue
        frame = re.search(r"stack_frame_id=(\d+)", instruction.attributes)
        layer = layers.get(frame[1], ELSEWHERE) if frame else ELSEWHERE
        kind = _kind(instruction, computations)
        moved = _moved(instruction, instructions, computations, True).size_bytes
        _, _, size_bytes, launches, cycles = rows.get(
            (layer, kind), LayerTraffic(layer, kind, 0, 0, 0)
        )
        rows[layer, kind] = LayerTraffic(
            layer,
            kind,
            size_bytes + moved,
            launches + 1,
            cycles + _estimated(instruction),
        )
    return sorted(rows.values(), key=lambda row: -row.size_bytes)


def _layers(text: str) -> dict[str, str]:
    """-> {stack frame: the innermost function of ours in it}."""
    tables = {}
    for title in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
        table = re.search(rf"^{title}\n((?:\d+ .*\n)+)", text, re.MULTILINE)
        rows = table[1].splitlines() if table else []
        tables[title] = dict(row.split(" ", 1) for row in rows)
    files, functions, locations, frames = tables.values()

    def layer(frame: str) -> str:
        location, parent = re.findall(r"=(\d+)", frames[frame])
        file, function = re.findall(r"=(\d+)", locations[location])[:2]
        _, ours, path = files[file].strip('"').rpartition(PACKAGE)
        if ours:
            return f"{path} {functions[function].strip(chr(34)).split('.')[-1]}"
        # Parents are counted from 1, which says that there is none.
        outer = str(int(parent) - 1)
        return ELSEWHERE if outer == "0" else layer(outer)

    return {frame: layer(frame) for frame in frames}


def _kind(instruction: Instruction, computations) -> str:
    if instruction.opcode == "custom-call":
        return _target(instruction.attributes)
    if instruction.opcode != "fusion":
        return instruction.opcode
    inside = _opcodes(instruction, computations)
    return f"fusion {next((k for k in FUSED_KINDS if k in inside), 'elementwise')}"


def _opcodes(instruction: Instruction, computations) -> set[str]:
    """Returns the kinds of instruction in a fusion, and in the fusions inside it."""
    inside = {instruction.opcode}
    for called in _CALLED.findall(instruction.attributes):
        for inner in computations.get(called, {}).values():
            inside |= _opcodes(inner, computations)
    return inside


def collectives(text: str) -> dict[str, Collective]:
    """Returns one chip's exchanges with others, by kind, in `compiled.as_text()`.

    An asynchronous one counts where it starts, one in a loop as often as the loop runs
    (once if that is unknown); of branches all are counted.
    """
    computations, entry = _parse(text)
    return _collectives(computations, entry)


def estimated_cycles(text: str) -> int | None:
    """The sum of the TPU compiler's estimates; None where a kernel or nothing has one."""
    computations, entry = _parse(text)
    if any(_is_kernel(i) for i in computations[entry].values()):
        return None
    return sum(map(_estimated, computations[entry].values())) or None


def modelled_cycles(text: str, *, bytes_per_cycle: float) -> float | None:
    """The TPU compiler's estimates, and of each kernel, which has none, its bytes' time.

    The compiler expects its own instructions to reach about half of the memory's speed; a
    kernel counts as if it reached all of it. None where nothing has an estimate.
    """
    computations, entry = _parse(text)
    instructions = computations[entry]
    cycles = 0.0
    for instruction in instructions.values():
        if _is_kernel(instruction):
            moved = _moved(instruction, instructions, computations, True)
            cycles += moved.size_bytes / bytes_per_cycle
        else:
            cycles += _estimated(instruction)
    return cycles or None


def _estimated(instruction: Instruction) -> int:
    found = re.findall(r'"estimated_cycles":"(\d+)"', instruction.attributes)
    return sum(map(int, found))


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


def _collectives(computations, name: str) -> dict[str, Collective]:
    found: dict[str, Collective] = {}

    def add(kind, count, size_bytes):
        before = found.get(kind, Collective(0, 0))
        found[kind] = Collective(before.count + count, before.size_bytes + size_bytes)

    instructions = computations[name]
    for shape, opcode, operands, attributes in instructions.values():
        kind = opcode.removesuffix("-start")
        if kind in COLLECTIVES:
            arrays = [instructions[o].shape for o in operands if o in instructions]
            sent = sum(stored_bytes(a, anywhere=True) for a in arrays)
            if kind == "all-gather":  # one that starts gives (operands, results)
                results = stored_bytes(shape, anywhere=True)
                sent = results - sent if opcode != kind else results
            add(kind, 1, sent)
            continue
        times = (_trips(attributes) or 1) if opcode == "while" else 1
        for called in _CALLED.findall(attributes) + _branches(attributes):
            for kind, inner in _collectives(computations, called).items():
                add(kind, times * inner.count, times * inner.size_bytes)
    return found


def _count(computations, name: str, kernels: bool) -> Moved:
    instructions = computations[name]
    total = Moved(0)
    for instruction in instructions.values():
        total += _moved(instruction, instructions, computations, kernels)
    return total


def _moved(instruction: Instruction, instructions, computations, kernels) -> Moved:
    shape, opcode, operands, attributes = instruction
    arrays = [instructions[o].shape for o in operands if o in instructions]
    called = _CALLED.findall(attributes)
    sources = dict.fromkeys(_renamed(o, instructions) for o in operands)
    read = [instructions[o].shape for o in sources if o in instructions]
    all_once = stored_bytes(shape) + sum(map(stored_bytes, read))
    if opcode in RENAMES or opcode.endswith("-done"):
        return Moved(0)
    if _is_kernel(instruction):
        return Moved(all_once if kernels else 0, kernels=1)
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
        once = _count(computations, called[0], kernels)
        if trips := _trips(attributes):
            return once._replace(size_bytes=once.size_bytes * trips)
        return once._replace(notes=once.notes | {"a loop is counted once"})
    if opcode == "conditional":
        counts = [_count(computations, n, kernels) for n in _branches(attributes)]
        most = max(counts, key=lambda m: m[:2])
        return most._replace(notes=most.notes | {"of branches, the one moving most"})
    if opcode in ("call", "async-start") and called:
        return _count(computations, called[0], kernels)
    return Moved(all_once)


def _trips(attributes: str) -> int | None:
    """Returns a loop's number of runs, or None where the compiler does not know it."""
    match = re.search(r'"known_trip_count":\{"n":"(\d+)"', attributes)
    return int(match[1]) if match else None


def _branches(attributes: str) -> list[str]:
    """The computations that a conditional chooses from."""
    found = _BRANCHES.findall(attributes.replace(", %", ";%"))
    return [n.strip().lstrip("%") for b in found for n in b.split(";")]


def _renamed(name: str, instructions) -> str:
    """Returns an array's name before bitcasts, which rename it and move nothing."""
    while name in instructions and instructions[name].opcode == "bitcast":
        name = instructions[name].operands[0]
    return name


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
