"""Times of the operations, as `vidshift bench` has them, without their errors."""

from collections.abc import Iterator

import jax

from vidshift.kernels import bench
from vidshift.kernels.analysis import cases, timing
from vidshift.kernels.analysis.cases import Case
from vidshift.kernels.analysis.compiling import compile_all
from vidshift.measure.parts import Settings

# The shapes that most of a network's time is spent at, before all others.
FIRST = ("tsm_56", "tsm_28", "tsm_14", "tsm_7", "rubiks_56", "rubiks_28", "rubiks_14")
TOGETHER = 6  # groups that are compiled at once, and then timed
SECONDS = 0.05  # of timing a program
SMALL_SHAPES = ("tsm_56", "rubiks_56")
SMALL_X = (2, 8, 7, 7)


def key(case: Case) -> str:
    shape = case.shape.name
    return f"{case.op} {shape} {case.direction} {case.dtype} {case.implementation}"


def groups(settings: Settings) -> list[list[Case]]:
    """Returns the cases of each operation, shape and direction."""
    found = {}
    for case in cases.all_cases(dtype=settings.dtype):
        if settings.small:
            if case.shape.name not in SMALL_SHAPES:
                continue
            x = SMALL_X + case.shape.x[-1:]
            case = case._replace(shape=case.shape._replace(x=x))
        case = case.on(settings.platform)
        found.setdefault((case.op, case.shape.name, case.direction), []).append(case)

    def order(group: list[Case]) -> tuple:
        name = group[0].shape.name
        fused = not group[0].op.endswith("conv")  # what networks run, before the rest
        return (FIRST.index(name) if name in FIRST else len(FIRST), fused)

    return sorted(found.values(), key=order)


def keys(settings: Settings) -> list[str]:
    return [key(case) for group in groups(settings) for case in group]


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    platform = settings.platform
    left = [g for g in groups(settings) if any(key(case) in missing for case in g)]
    for start in range(0, len(left), TOGETHER):
        for group, programs in _compiled(left[start : start + TOGETHER], platform):
            failed = [p for p in programs.values() if isinstance(p, Exception)]
            if failed:
                said = f"{type(failed[0]).__name__}: {failed[0]}"[:300]
                yield from (c.row() | {"key": key(c), "failed": said} for c in group)
                continue
            for program in programs.values():
                jax.block_until_ready(program())
            calls = bench.calls_together(group[0], platform)
            times = timing.side_by_side(programs, calls=calls, seconds=SECONDS)
            for case, row in zip(
                group, bench.rows_of(group, platform, times, {}), strict=True
            ):
                yield {"key": key(case)} | row


def _compiled(some: list[list[Case]], platform: str) -> list[tuple]:
    """Returns (group, name -> program without arguments or an error), compiled at once."""
    found = [(group, {}) for group in some]
    inputs = {}

    def lowerings():
        for at, group in enumerate(some):
            running = bench.running_cases(group, platform)
            calls = bench.calls_together(group[0], platform)
            arrays = bench.inputs(group[0])
            for name, (function, given) in bench.contenders(running, arrays).items():
                program, many = bench.several_calls(function, given, calls)
                inputs[at, name] = many
                yield (at, name), lambda p=program, many=many: p.lower(many)

    for (at, name), program in compile_all(lowerings()):
        if isinstance(program, Exception):
            found[at][1][name] = program
        else:
            many = inputs.pop((at, name))
            found[at][1][name] = lambda p=program, many=many: p(many)
    return found
