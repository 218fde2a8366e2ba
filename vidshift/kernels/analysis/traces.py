"""Reads a profiler's trace back: the time that each of our programs took in it."""

import pathlib
import re
import warnings
from collections import defaultdict
from typing import NamedTuple

from jax.profiler import ProfileData

# Programs are called as `vidshift.kernels.analysis.cases.Case.name`; XLA puts `jit_` or `jit()` around it.
_PROGRAM = re.compile(
    r"jit[_(]((?:\w+)_(?:forward|backward)_(?:xla|pallas_tpu|triton))"
)


class Time(NamedTuple):
    seconds: float  # on the device, or on the CPU threads that ran it
    operations: int  # kernels, fusions, copies


def programs(directory) -> dict[str, Time]:
    """Time by program in the newest trace that `jax.profiler.trace(directory)` wrote."""
    files = sorted(
        pathlib.Path(directory).rglob("*.xplane.pb"), key=lambda f: f.stat().st_mtime
    )
    if not files:
        raise FileNotFoundError(f"no trace (*.xplane.pb) in {directory}")
    seconds, operations = defaultdict(float), defaultdict(int)
    for line in _lines(ProfileData.from_file(str(files[-1]))):
        spans = defaultdict(list)
        for event in line.events:
            if name := _program(event):
                spans[name].append((event.start_ns, event.start_ns + event.duration_ns))
        for name, found in spans.items():
            seconds[name] += _covered(found) / 1e9
            operations[name] += len(found)
    return {name: Time(seconds[name], operations[name]) for name in sorted(seconds)}


def _lines(data):
    """Where operations run: a TPU's `XLA Ops`, a GPU's streams, else the CPU's threads."""
    planes = list(data.planes)
    devices = [p for p in planes if p.name.startswith("/device:")]
    lines = [line for plane in devices for line in plane.lines]
    for wanted in ("XLA Ops", "Stream"):
        if these := [line for line in lines if line.name.startswith(wanted)]:
            return these
    return [line for p in planes if p.name == "/host:CPU" for line in p.lines]


def _program(event) -> str | None:
    with warnings.catch_warnings():
        # jaxlib's own type of a statistic, on Python 3.13.
        warnings.filterwarnings("ignore", "builtin type event_stats")
        stats = dict(event.stats)
    # A GPU's and a CPU's operations say their program, a TPU's their path in it; events
    # of the host, which calls it, say neither.
    for key in ("hlo_module", "tf_op"):
        if match := _PROGRAM.search(str(stats.get(key, ""))):
            return match[1]
    return None


def _covered(spans) -> float:
    """The length of a union: an operation may hold others."""
    total, end = 0.0, 0.0
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
