"""Times the rows of a paper's table (`paper_tables`) on this device."""

import contextlib
import functools
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from vidshift.command_line.progress import working
from vidshift.cost import count
from vidshift.cost.rubiks_blocks import BLOCKS, CHANNELS, CONV_2D, RUBIKS
from vidshift.kernels.analysis import timing
from vidshift.kernels.analysis.compiling import compile_all
from vidshift.kernels.dispatch import forced
from vidshift.nets.drawn import random_network
from vidshift.nets.names import parse
from vidshift.speed import comparison, step_programs
from vidshift.speed.exported_stream import ExportedStream, open_stream
from vidshift.speed.paper_tables import PaperRow, PaperTable, base_of, printed_ratio
from vidshift.stream.stepping import stepping

BLOCK_FRAMES = 8
XLA = "xla"
SHIFTED = (CONV_2D, RUBIKS)  # blocks with a shift
# platform -> implementations of the shifts that a block with one is timed under.
IMPLEMENTATIONS = {"gpu": (XLA, "triton"), "tpu": (XLA, "pallas_tpu")}


class Job(NamedTuple):
    """A row to time under one measure.

    `implementation` is of a block's shift; "" where it has none, and in networks, which
    take what is best here. `exported` is the file of a row that is none of the paper's.
    """

    table: PaperTable
    row: PaperRow
    measure: str
    batch: int
    side: int
    dtype: str
    implementation: str = ""
    exported: ExportedStream | None = None

    @property
    def label(self) -> str:
        return ", ".join(filter(None, (self.row.label, self.implementation)))

    @property
    def key(self) -> str:
        return f"{self.table.title}: {self.label} {self.measure}"

    @property
    def base(self) -> str:
        """The key of the row that this one is divided by; of a block's, XLA's."""
        row = base_of(self.table, self.row)
        named = XLA if self.table.kind == "blocks" and row.name in SHIFTED else ""
        return self._replace(row=row, implementation=named).key

    def program(self) -> "step_programs.Program | Stream | ExportedStream":
        """Lowers the program; of a stream, leaves all to its `compile`."""
        if self.exported:
            return self.exported
        if self.table.kind == "frames":
            return Stream(self)
        if self.table.kind == "clips":
            shape = (self.batch, self.row.frames, self.side, self.side, 3)
            model, x = comparison.inputs(parse(self.row.name), shape, self.dtype)
            return step_programs.lower(model, self.measure, x)
        block = BLOCKS[self.row.name]
        shape = (self.batch, BLOCK_FRAMES, self.side, self.side, CHANNELS)
        clips = jax.random.normal(jax.random.key(0), shape, self.dtype)
        named = forced(self.implementation) if self.implementation else None
        with named or contextlib.nullcontext():
            return step_programs.lower(
                block.abstract(self.dtype), self.measure, block.prepare(clips)
            )

    def empty_row(self) -> dict:
        printed = self.row.printed.get(self.measure)
        return {
            "key": self.key,
            "table": self.table.title,
            "label": self.label,
            "name": self.row.name,
            "measure": self.measure,
            "batch": self.batch,
            "frames": 1 if self.table.kind == "frames" else self.row.frames,
            "side": self.side,
            "dtype": self.dtype,
            "published": printed,
            "published_device": self.table.device,
            "published_times_base": printed_ratio(self.table, self.row, self.measure),
            "base": base_of(self.table, self.row).label,
            **dict.fromkeys(RESULTS),
        }


# Fields of a row besides what was asked for; None where there was not enough memory.
RESULTS = ("seconds", "seconds_quartiles", "blocks", "clips_per_second", "times_base")
RESULTS += ("times_base_quartiles", "compile_seconds", "program_bytes", "flops")
RESULTS += ("error",)


class Stream(NamedTuple):
    """A network that sees one frame after another, as a program to compile."""

    job: Job

    @property
    def flops(self) -> int:
        sizes = {"classes": comparison.CLASSES, "frames": 1, "side": self.job.side}
        return 2 * count.cost(parse(self.job.row.name), **sizes).macs

    def compile(self) -> tuple[Callable, dict]:
        model = parse(self.job.row.name).abstract(
            num_classes=comparison.CLASSES,
            num_frames=self.job.row.frames,
            dtype=self.job.dtype,
        )
        call = stepping(random_network(model), self.job.batch, self.job.side)
        return call, {"flops": self.flops}


def jobs(
    table: PaperTable,
    *,
    side: int | None = None,
    batch: int | None = None,
    dtype: str | None = None,
) -> list[list[Job]]:
    """Returns the rows to time, those that take turns together.

    Args:
      side, batch, dtype: others than the table's; `batch` is of the throughput alone.
    """
    groups = []
    for measure, size in table.measures.items():
        clips = size if batch is None or measure == "latency" else batch
        group = []
        for row in table.rows:
            sizes = (measure, clips, side or table.side)
            job = Job(table, row, *sizes, dtype or row.dtype or table.dtype)
            shifts = table.kind == "blocks" and row.name in SHIFTED
            names = (
                IMPLEMENTATIONS.get(jax.default_backend(), (XLA,)) if shifts else ("",)
            )
            group += [job._replace(implementation=name) for name in names]
        groups.append(group)
    return groups


def with_file(groups: list[list[Job]], path: pathlib.Path) -> list[list[Job]]:
    """Returns the groups of a table of frames, and an exported stream by itself.

    It takes no turns with the networks: a runtime's threads that wait for its next call
    would take the processor from the program after it.

    Raises:
      ValueError: the table is of clips or blocks, or the file is not of one stream.
    """
    if groups[0][0].table.kind != "frames":
        raise ValueError(
            f"--file={path} is of tables of a frame at a time: tsm-6 and tsm-8"
        )
    exported, like = open_stream(path), groups[0][0]
    job = like._replace(row=exported.row(path), side=exported.side, exported=exported)
    return [*groups, [job]]


def rows(
    groups: list[list[Job]], seconds: float, say: Callable[[str], None] = lambda _: None
) -> Iterator[dict]:
    """Compiles all programs, then times each group in turns, and yields its rows.

    Args:
      seconds: of timing a row, about.
      say: takes the estimate of how long it will take.
    """
    every = [job for group in groups for job in group]
    found = {job.key: job.empty_row() for job in every}
    with working(f"building {len(every)} programs"):
        lowered = {job.key: job.program() for job in every}
        rate = products_a_second(every[0].dtype)
    say(estimate([program.flops for program in lowered.values()], seconds, rate))
    programs = {}
    with working(f"compiling {len(every)} programs", begin=True):
        lower = [(key, functools.partial(lowered.pop, key)) for key in found]
        for key, result in compile_all(lower):
            if isinstance(result, Exception):
                found[key]["error"] = why_not(result)
            else:
                programs[key], facts = result
                found[key] |= facts
    for group in groups:
        names = [job.key for job in group if job.key in programs]
        with working(f"timing {', '.join(job.label for job in group)}"):
            time_group(
                group, found, {name: programs.pop(name) for name in names}, seconds
            )
        yield from (found[job.key] for job in group)


def products_a_second(dtype: str) -> float:
    """Returns FLOP/s of a product of two matrices of 1024 here, timed for a moment."""
    x = jax.numpy.ones((1024, 1024), dtype)
    product = jax.jit(lambda x: x @ x)
    jax.block_until_ready(product(x))
    times = timing.in_turns({"x": functools.partial(product, x)}, seconds=0.05)["x"]
    return 2 * 1024**3 / min(times)


def estimate(flops: list[int], seconds: float, rate: float) -> str:
    """Returns a sentence about the time that rows will take once they are compiled."""
    # A network reaches about half of a product's rate; first calls, and the least turns.
    calls = 2 + timing.LEAST_BLOCKS
    each = [max(seconds, 2 * n / rate * calls) for n in flops]
    return (
        f"{len(flops)} programs: about {math.ceil(sum(each))} s of timing here, after "
        "compiling; --seconds and --side change it"
    )


def time_group(group: list[Job], found: dict, programs: dict, seconds: float) -> None:
    """Times programs that take turns, and completes their rows."""
    for key in list(programs):
        try:
            step_programs.run_first(programs[key])
        except jax.errors.JaxRuntimeError as error:
            found[key]["error"] = comparison.out_of_memory(error)
            del programs[key]
    times = timing.in_turns(programs, seconds=seconds)
    for job in group:
        if job.key not in times:
            continue
        own = np.asarray(times[job.key])
        low, median, high = np.percentile(own, (25, 50, 75)).tolist()
        row = found[job.key]
        row |= {"seconds": median, "seconds_quartiles": (low, high)}
        row |= {"blocks": len(own), "clips_per_second": job.batch / median}
        base = times.get(job.base)
        if base is not None:
            turns = min(len(own), len(base))
            ratios = own[-turns:] / np.asarray(base[-turns:])
            low, median, high = np.percentile(ratios, (25, 50, 75)).tolist()
            row |= {"times_base": median, "times_base_quartiles": (low, high)}


def why_not(error: Exception) -> str:
    """Returns why a row was not timed; raises an error that is none of the row's own."""
    if isinstance(error, NotImplementedError):
        return str(error)
    return comparison.out_of_memory(error)
