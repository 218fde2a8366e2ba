"""Traces of TSM's train step and inference, read back."""

import tempfile
from collections.abc import Iterator

import jax

from vidshift.kernels.analysis import traces
from vidshift.measure import networks
from vidshift.measure.networks import Job
from vidshift.measure.parts import Settings

STEPS = 5
LARGEST = 12


def jobs(settings: Settings) -> list[Job]:
    """Returns the programs of `networks` that are traced, TSM's of the first wave."""
    names = networks.SMALL_NAMES if settings.small else networks.NAMES
    groups = networks.waves(settings, names)[0]
    return [job for group in reversed(groups) for job in group[-1:]]


def keys(settings: Settings) -> list[str]:
    return [job.key for job in jobs(settings)]


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    found, calls = networks.compiled(
        [job for job in jobs(settings) if job.key in missing]
    )
    for key, row in found.items():
        if key not in calls:
            yield row
            continue
        call = calls.pop(key)
        networks.step_programs.run_first(call)
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                for _ in range(STEPS):
                    result = call()
                jax.block_until_ready(result)
            operations = traces.operations(folder)
        fields = as_fields(operations)
        if not fields["operations"]["operations"]:
            fields = {"failed": "the profiler recorded no operation of the device"}
        yield row | fields


def as_fields(operations: list[traces.Operation]) -> dict:
    """Returns a trace's fields of a row."""
    total = traces.totals(operations)
    kinds = [row for row in traces.by_kind(operations) if row.kind != traces.GAPS]
    return {
        "steps": STEPS,
        **{name: time._asdict() for name, time in total.items()},
        "kinds": [row._asdict() for row in kinds],
        "largest": [row._asdict() for row in traces.largest(operations, LARGEST)],
    }
