"""Times of ResNet-50 under TSN and TSM, and the jobs of other networks."""

from collections.abc import Iterator
from typing import NamedTuple

import jax

from vidshift.kernels.analysis.compiling import compile_all
from vidshift.measure.parts import Settings
from vidshift.nets import BACKBONES
from vidshift.nets.names import Network, parse
from vidshift.speed import comparison, step_programs

NAMES = ("resnet50/tsn", "resnet50/tsm")
SMALL_NAMES = ("resnet_tiny/tsn", "resnet_tiny/tsm")
# Compiled together and then timed, a wave after the other: compiling on a GPU runs
# kernels on it to choose among them. (measure, clips)
WAVES = ((("throughput", 16), ("train", 16)), (("latency", 1), ("throughput", 64)))
SMALL_WAVES = ((("throughput", 2), ("train", 2)), (("latency", 1),))
SECONDS = 0.7  # of timing a program


class Job(NamedTuple):
    network: Network
    measure: str
    clips: int
    dtype: str
    side: int

    @property
    def key(self) -> str:
        return f"{self.network.name} {self.measure} {self.clips} {self.dtype}"

    @property
    def shape(self) -> tuple[int, ...]:
        frames = BACKBONES[self.network.backbone].num_frames
        return (self.clips, frames, self.side, self.side, 3)

    def lower(self) -> step_programs.Program:
        model, clips = comparison.inputs(self.network, self.shape, self.dtype)
        return step_programs.lower(model, self.measure, clips)

    def empty_row(self) -> dict:
        row = comparison.empty_row(self.network, self.measure, self.shape, self.dtype)
        return {"key": self.key} | row


def waves(settings: Settings, names: tuple[str, ...]) -> list[list[list[Job]]]:
    """Returns waves of groups of jobs; the jobs of a group take turns."""
    side = 32 if settings.small else 224
    return [
        [
            [Job(parse(name), m, clips, settings.dtype, side) for name in names]
            for m, clips in wave
        ]
        for wave in (SMALL_WAVES if settings.small else WAVES)
    ]


def keys_of(settings: Settings, names: tuple[str, ...]) -> list[str]:
    every = waves(settings, names)
    return [job.key for wave in every for group in wave for job in group]


def rows_of(
    settings: Settings, names: tuple[str, ...], missing: set[str]
) -> Iterator[dict]:
    for wave in waves(settings, names):
        wanted = [group for group in wave if any(job.key in missing for job in group)]
        rows, calls = compiled([job for group in wanted for job in group])
        for group in wanted:
            programs = {}
            for job in group:
                if job.key in calls:
                    programs[job.key] = calls.pop(job.key)
            yield from timed({job.key: rows[job.key] for job in group}, programs)


def compiled(jobs: list[Job]) -> tuple[dict, dict]:
    """Compiles jobs together: rows, and programs of those without an error, by key."""
    rows = {job.key: job.empty_row() for job in jobs}
    calls = {}
    lower = [(job.key, lambda job=job: job.lower()) for job in jobs]
    for key, result in compile_all(lower):
        if isinstance(result, Exception):
            rows[key] |= error_of(result)
        else:
            calls[key], facts = result
            rows[key] |= facts
    return rows, calls


def timed(rows: dict[str, dict], programs: dict) -> list[dict]:
    """Runs programs for the first time, times those that fit, and completes the rows."""
    for key in list(programs):
        try:
            step_programs.run_first(programs[key])
        except jax.errors.JaxRuntimeError as error:
            rows[key] |= error_of(error)
            del programs[key]
    tsn = next((k for k, row in rows.items() if row["temporal"] == "tsn"), None)
    comparison.time_rows(rows, programs, SECONDS, tsn=tsn)
    return list(rows.values())


def error_of(error: Exception) -> dict:
    """Returns the fields of a row that was not measured; `failed` is tried again."""
    try:
        return {"error": comparison.out_of_memory(error)}
    except Exception as other:  # noqa: BLE001  one network's fault is not another's
        said = f"{type(other).__name__}: {other}"[:300]
        return {"error": said, "failed": said}


def keys(settings: Settings) -> list[str]:
    return keys_of(settings, SMALL_NAMES if settings.small else NAMES)


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    yield from rows_of(settings, SMALL_NAMES if settings.small else NAMES, missing)
