"""Times networks, each beside the same network under TSN."""

import re
from collections.abc import Callable

import jax
from flax import nnx

from vidshift.command_line.progress import working
from vidshift.config import ModelConfig
from vidshift.kernels.analysis import timing
from vidshift.nets.names import Network, parse, under_every_scheme
from vidshift.speed import step_programs

# TSM Table 5; VSN Table 6; GSF Table 12.
IN_TABLES = ("resnet50/tsm", "resnet50/i3d", "resnet50/vsn", "resnet50/gsf")
IN_TABLES += ("resnet101/vsn", "rubiksnet_large/tsn")
CLASSES = 174  # Something-Something's
# Fields of a row besides what was asked for; None where there was not enough memory.
RESULTS = ("seconds", "seconds_quartiles", "blocks", "clips_per_second", "times_tsn")
RESULTS += ("compile_seconds", "program_bytes", "flops", "error")


def networks(name: str) -> list[Network]:
    """Returns the networks that a NAME means.

    Raises:
      ValueError: there is none of that name, or an option has no value.
    """
    network = parse(name)
    one = "/" in name.partition(":")[0]
    return [network] if one else under_every_scheme(network)


def model_of(network: Network, *, dtype: str, frames: int) -> nnx.Module:
    """Builds the model from shapes alone, with training's dropout."""
    dropout = {"dropout": ModelConfig().dropout}
    return network.abstract(
        num_classes=CLASSES, num_frames=frames, dtype=dtype, **dropout
    )


def beside_tsn(names: list[str]) -> list[list[Network]]:
    """Groups what is timed together: a backbone under TSN, then under its schemes."""
    groups = {}
    for network in (n for name in names for n in networks(name)):
        tsn = network.under_tsn()
        group = groups.setdefault(tsn.name, [tsn])
        if network not in group:
            group.append(network)
    return list(groups.values())


def measure_group(
    group: list[Network], measure: str, shape: tuple, dtype: str, seconds: float
) -> list[dict]:
    """Times a group, TSN first; a row that does not fit in memory says so."""
    programs, rows = {}, {}
    for network in group:
        rows[network.name] = row = empty_row(network, measure, shape, dtype)
        what = f"compiling {network.name} {measure} {dtype}"
        try:
            with working(what, begin=True):
                model, clips = inputs(network, shape, dtype)
                program, facts = step_programs.compiled(model, measure, clips)
        except jax.errors.JaxRuntimeError as error:
            row["error"] = out_of_memory(error)
        else:
            programs[network.name] = program
            row |= facts
    with working(f"timing {' beside '.join(programs)}"):
        time_rows(rows, programs, seconds, tsn=group[0].name)
    return list(rows.values())


def empty_row(network: Network, measure: str, shape: tuple, dtype: str) -> dict:
    """Returns the fields of a row that has not been measured."""
    row = {"name": network.name, **network._asdict()}
    row |= {"measure": measure, "dtype": dtype, "batch": shape[0]}
    return row | {"frames": shape[1], "side": shape[2], **dict.fromkeys(RESULTS)}


def inputs(network: Network, shape: tuple, dtype: str) -> tuple[nnx.Module, jax.Array]:
    """Returns the model, of shapes alone, and random clips."""
    clips = jax.random.normal(jax.random.key(0), shape, dtype)
    return model_of(network, dtype=dtype, frames=shape[1]), clips


def time_rows(
    rows: dict[str, dict],
    programs: dict[str, Callable],
    seconds: float,
    *,
    tsn: str | None,
) -> None:
    """Times programs that take turns, and completes their rows, by the same keys.

    Args:
      seconds: of each program, about.
      tsn: key of the row that the others' times are divided by.
    """
    try:
        times = timing.side_by_side(programs, calls=1, seconds=seconds)
    except jax.errors.JaxRuntimeError as error:
        times = {}  # each fits alone, but not beside the others
        for name in programs:
            rows[name]["error"] = out_of_memory(error)
    base = times.get(tsn)
    for name, found in times.items():
        rows[name] |= {
            "seconds": found.median,
            "seconds_quartiles": (found.low, found.high),
            "blocks": found.blocks,
            "clips_per_second": rows[name]["batch"] / found.median,
            "times_tsn": found.median / base.median if base else None,
        }


def out_of_memory(error: Exception) -> str:
    """Returns the reason for a row without times; raises any other error again."""
    if not re.search("RESOURCE_EXHAUSTED|out of memory", str(error), re.IGNORECASE):
        raise error
    return "out of memory"
