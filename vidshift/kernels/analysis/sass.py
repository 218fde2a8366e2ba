"""Reads the machine code of a GPU's kernel (SASS), as `nvdisasm -c` prints it."""

import itertools
import re
from typing import NamedTuple

# An H100's core, and how it hands out its registers and shared memory (CUDA programming
# guide, compute capability 9.0).
REGISTERS, THREADS, PROGRAMS = 65536, 2048, 32
SHARED_BYTES, RESERVED_BYTES = 228 * 1024, 1024  # reserved for each program
REGISTER_UNIT = 8  # of a thread

LABEL = re.compile(r"\s*(\.L_x_\d+):")
INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;")
BRANCH = re.compile(r"\bBRA\b.*`\((\.L_x_\d+)\)")


class Code(NamedTuple):
    """A kernel's instructions, and its loops: numbers of their first and last one."""

    instructions: list[str]
    loops: list[tuple[int, int]]

    def within(self, loop: tuple[int, int]) -> list[str]:
        return self.instructions[loop[0] : loop[1] + 1]


def parse(text: str) -> Code:
    """Reads the code of one kernel; a loop ends with a branch to before it."""
    instructions, labels = [], {}
    for line in text.splitlines():
        if label := LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif instruction := INSTRUCTION.match(line):
            instructions.append(instruction[1])
    loops = []
    for number, instruction in enumerate(instructions):
        branch = BRANCH.search(instruction)
        if branch and labels[branch[1]] == number:
            # Never reached, as the padding after it.
            return Code(instructions[:number], loops)
        if branch and labels[branch[1]] < number:
            loops.append((labels[branch[1]], number))
    return Code(instructions, loops)


def opcode(instruction: str) -> str:
    """`@!P0 LDG.E.64 R2, ...` -> `LDG.E.64`."""
    return re.sub(r"^@!?U?P\w+\s+", "", instruction).split()[0]


def executed(code: Code, passes: float | None) -> float | None:
    """Instructions that a thread executes: each once, those of a loop at each pass.

    Predicated ones count, and both sides of a branch. A loop within a loop, or passes that
    are not known, make it None.
    """
    loops = sorted(code.loops)
    nested = any(b[0] <= a[1] for a, b in itertools.pairwise(loops))
    if nested or (loops and passes is None):
        return None
    inside = sum(last - first + 1 for first, last in loops)
    return len(code.instructions) - inside + inside * (passes or 0)


def narrow(code: Code) -> int:
    """Loads and stores of one or two bytes: a warp's are less than a line of the cache."""
    widths = (opcode(i).split(".") for i in code.instructions)
    return sum(
        name in ("LDG", "STG")
        and any(re.fullmatch(r"[US](8|16)", m) for m in modifiers)
        for name, *modifiers in widths
    )


def programs_an_sm(registers: int, warps: int, shared_bytes: int) -> int:
    """Programs that an H100's core holds at once."""
    unit = -(-registers // REGISTER_UNIT) * REGISTER_UNIT
    limits = [
        PROGRAMS,
        THREADS // (32 * warps),
        REGISTERS // (unit * 32 * warps),
        SHARED_BYTES // (shared_bytes + RESERVED_BYTES),
    ]
    return min(limits)
