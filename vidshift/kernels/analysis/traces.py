"""Reads a profiler's trace back: which operations ran, for how long, and the gaps.

Events are those of XLA's profiler: on a GPU the kernels of each stream, on a TPU the line
`XLA Ops`, on a CPU what its threads ran of a program.
"""

import pathlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jax.profiler import ProfileData

# Names of our kernels, in every trace: `shift3d_forward_triton`.
_OURS = re.compile(r"\w+_(?:triton|pallas_tpu)(?:[._]\d+)?")
# `hlo_module` of a GPU and a CPU is `jit_NAME`, `tf_op` of a TPU `jit(NAME)/...`.
_PROGRAM = re.compile(r"jit[_(](\w+)")
# Programs of `vidshift.kernels.analysis.cases.Case.name`.
_CASE = re.compile(r"\w+_(?:forward|backward)_(?:xla|pallas_tpu|triton)")

OURS = "our kernels"
GAPS = "gaps"
OTHER = "other"
# Kind -> pattern of an operation's name, the first that matches; names of kernels that
# XLA makes, of cuDNN and cuBLAS (xmma, cutlass, nvjet), of the driver (Memcpy), of the
# CPU's library (ynn).
KINDS = {
    OURS: _OURS.pattern + "$",
    "collectives": r"all.?reduce|all.?gather|all.?to.?all|reduce.scatter|nccl|collective",
    "scatters": r"scatter",
    "transposes and copies": r"nchwtonhwc|nhwctonchw|transpose|copy|memcpy|memset",
    "convolutions and products": (
        r"convolution|cudnn|cublas|xmma|cutlass|nvjet|gemm|[fwd]grad|fprop|implicit"
        r"|matmul|^ynn|(?:^|[_. ])(?:conv|dot)(?:$|[_. -])"
    ),
    "reductions": r"reduce|reduction",
    "elementwise": r"fusion|elementwise|wrapped_|^(?:add|multiply|convert|broadcast)",
}
_KINDS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
# What a TPU's `hlo_category` says where a name (`fusion.12`) says nothing.
_CATEGORIES = (
    ("convolution", "convolutions and products"),
    ("reduce", "reductions"),
    ("scatter", "scatters"),
    ("copy", "transposes and copies"),
    ("data formatting", "transposes and copies"),
)


class Operation(NamedTuple):
    """An operation of a program, all its runs in a trace together.

    The gaps, in which a device ran nothing between its first and its last operation, are
    one of the kind `GAPS`.
    """

    name: str
    program: str  # the jitted function's name, "" where a trace does not say
    seconds: float  # without operations inside this one
    count: int
    kind: str  # one of `KINDS`, `GAPS` or `OTHER`
    ours: bool


class Time(NamedTuple):
    seconds: float  # on the device, or on the CPU threads that ran it
    operations: int  # kernels, fusions, copies


class _Span(NamedTuple):
    start: float
    end: float
    name: str
    program: str
    kind: str


def operations(directory: str | pathlib.Path) -> list[Operation]:
    """Reads the newest trace that `jax.profiler.trace(directory)` wrote.

    Returns:
      Operations by time, the longest first, and the gaps at the end; both are sums over
      devices.

    Raises:
      FileNotFoundError: there is no trace.
    """
    files = sorted(
        pathlib.Path(directory).rglob("*.xplane.pb"), key=lambda f: f.stat().st_mtime
    )
    if not files:
        raise FileNotFoundError(f"no trace (*.xplane.pb) in {directory}")
    return operations_of(ProfileData.from_file(str(files[-1])))


def operations_of(data) -> list[Operation]:
    """Reads a `jax.profiler.ProfileData`; see `operations`."""
    seconds, counts = defaultdict(float), defaultdict(int)
    pauses = []
    for lines in _devices(data):
        everything = []
        for spans in lines:
            everything += [(span.start, span.end) for span in spans]
            for span, alone in _alone(spans):
                key = span.name, span.program, span.kind
                seconds[key] += alone / 1e9
                counts[key] += 1
        pauses += _pauses(everything)
    found = [
        Operation(name, program, seconds[key], counts[key], kind, kind == OURS)
        for key in seconds
        for name, program, kind in [key]
    ]
    found.sort(key=lambda row: -row.seconds)
    gaps = Operation("nothing runs", "", sum(pauses) / 1e9, len(pauses), GAPS, False)
    return [*found, gaps]


def by_kind(found: Iterable[Operation]) -> list[Operation]:
    """Sums operations of a kind, `name` being the kind; the longest first."""
    seconds, counts = defaultdict(float), defaultdict(int)
    for row in found:
        seconds[row.kind] += row.seconds
        counts[row.kind] += row.count
    rows = [
        Operation(kind, "", seconds[kind], counts[kind], kind, kind == OURS)
        for kind in seconds
    ]
    return sorted(rows, key=lambda row: -row.seconds)


def largest(found: Iterable[Operation], count: int = 10) -> list[Operation]:
    """Returns the operations that took longest."""
    real = [row for row in found if row.kind != GAPS]
    return sorted(real, key=lambda row: -row.seconds)[:count]


def totals(found: Iterable[Operation]) -> dict[str, Time]:
    """Sums `operations` (gaps apart), `ours` and `gaps`."""
    groups = {
        "operations": lambda row: row.kind != GAPS,
        "ours": lambda row: row.ours,
        "gaps": lambda row: row.kind == GAPS,
    }
    found = list(found)
    return {
        name: Time(
            sum(row.seconds for row in found if of_group(row)),
            sum(row.count for row in found if of_group(row)),
        )
        for name, of_group in groups.items()
    }


def summary(found: Iterable[Operation], steps: int, *, count: int = 10) -> str:
    """Returns lines to print: a step's time, kinds, and the largest operations.

    Args:
      found: of `operations`.
      steps: that the trace holds; all figures are of one.
      count: of the largest operations.
    """
    found = list(found)
    total = totals(found)
    busy, ours, gaps = total["operations"], total["ours"], total["gaps"]
    if not busy.operations:
        return "no operation of a device is in the trace"
    first = (
        f"{1e3 * busy.seconds / steps:.3f} ms of operations a step "
        f"({busy.operations / steps:.0f}), {1e3 * gaps.seconds / steps:.3f} ms of gaps "
        f"({gaps.operations / steps:.0f}); our kernels "
        f"{1e3 * ours.seconds / steps:.3f} ms ({ours.seconds / busy.seconds:.1%})"
    )
    lines = [first, "", f"{'ms a step':>10} {'share':>6} {'times':>6}  kind"]
    kinds = [row for row in by_kind(found) if row.kind != GAPS]
    lines += [_line(row, steps, busy.seconds) for row in kinds]
    lines += ["", f"{'ms a step':>10} {'share':>6} {'times':>6}  operation"]
    lines += [_line(row, steps, busy.seconds) for row in largest(found, count)]
    return "\n".join(lines)


def programs(directory: str | pathlib.Path) -> dict[str, Time]:
    """Time by program of `vidshift.kernels.analysis.cases`, in the newest trace."""
    seconds, counts = defaultdict(float), defaultdict(int)
    for row in operations(directory):
        if _CASE.fullmatch(row.program):
            seconds[row.program] += row.seconds
            counts[row.program] += row.count
    return {name: Time(seconds[name], counts[name]) for name in sorted(seconds)}


def kind_of(name: str, operation: str = "", category: str = "") -> str:
    """Returns an operation's kind.

    Args:
      name: of the event: a kernel's, or the HLO instruction's.
      operation: name of the HLO instruction that a kernel belongs to.
      category: a TPU's `hlo_category`.
    """
    if _KINDS[OURS].fullmatch(name):
        return OURS
    for part, kind in _CATEGORIES:
        if part in category:
            return kind
    texts = (name.lower(), operation.lower())
    for kind, pattern in _KINDS.items():
        if kind != OURS and any(pattern.search(text) for text in texts):
            return kind
    return OTHER


def _line(row: Operation, steps: int, busy: float) -> str:
    return (
        f"{1e3 * row.seconds / steps:10.3f} {row.seconds / busy:6.1%} "
        f"{row.count / steps:6.0f}  {row.name[:100]}"
    )


def _devices(data) -> Iterator[list[list[_Span]]]:
    """Yields the lines of each device on which operations ran."""
    planes = list(data.planes)
    found = False
    for plane in planes:
        if not plane.name.startswith("/device:"):
            continue
        lines = list(plane.lines)
        for wanted in ("XLA Ops", "Stream"):
            if these := [line for line in lines if line.name.startswith(wanted)]:
                found = True
                yield [_spans(line) for line in these]
                break
    if not found:  # a CPU's threads also hold events of the host, which name no HLO
        lines = [line for p in planes if p.name == "/host:CPU" for line in p.lines]
        yield [_spans(line, "hlo_op") for line in lines]


def _spans(line, needed: str | None = None) -> list[_Span]:
    spans = []
    for event in line.events:
        stats = _stats(event)
        if needed and needed not in stats:
            continue
        # A TPU's name is the whole instruction: `%fusion.3 = bf16[...] fusion(...)`.
        name = event.name.partition(" = ")[0].lstrip("%")
        path = str(stats.get("hlo_module") or stats.get("tf_op") or "")
        program = _PROGRAM.search(path)
        kind = kind_of(
            name, str(stats.get("hlo_op", "")), str(stats.get("hlo_category", ""))
        )
        end = event.start_ns + event.duration_ns
        spans.append(
            _Span(event.start_ns, end, name, program[1] if program else "", kind)
        )
    return sorted(spans, key=lambda span: (span.start, -span.end))


def _stats(event) -> dict:
    with warnings.catch_warnings():
        # jaxlib's own type of a statistic, on Python 3.13.
        warnings.filterwarnings("ignore", "builtin type event_stats")
        return dict(event.stats)


def _alone(spans: list[_Span]) -> Iterator[tuple[_Span, float]]:
    """Yields each of a line's spans with its length less that of spans inside it."""
    inside = [0.0] * len(spans)
    open_spans = []
    for at, span in enumerate(spans):
        while open_spans and spans[open_spans[-1]].end <= span.start:
            open_spans.pop()
        if open_spans:
            holder = open_spans[-1]
            inside[holder] += min(span.end, spans[holder].end) - span.start
        open_spans.append(at)
    for span, held in zip(spans, inside, strict=True):
        yield span, span.end - span.start - held


def _pauses(spans: list[tuple[float, float]]) -> list[float]:
    """Returns the lengths of what a union of spans leaves free inside it."""
    pauses, end = [], None
    for start, stop in sorted(spans):
        if end is not None and start > end:
            pauses.append(start - end)
        end = stop if end is None else max(end, stop)
    return pauses
