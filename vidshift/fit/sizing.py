"""Compiles a config's steps for absent chips, and looks for the largest batch that fits."""

import dataclasses
import functools
import json
import math
import sys

import jax
import numpy as np
from jax.sharding import Mesh

from vidshift.command_line.progress import to_stderr, working
from vidshift.config import Config, check
from vidshift.data.annotations import DATASETS
from vidshift.data.sources import arrow_of_time, motion_clips
from vidshift.description import model_arguments
from vidshift.fit import aot
from vidshift.kernels.analysis import chips
from vidshift.nets.zoo import without_scheme

# Batches that the search compiles at most, besides the config's own.
TRIES = 5
# What of the capacity it aims at: a miss by little would cost minutes.
AIM = 0.995

COLUMNS = (  # heading, width, field, divided by, decimals
    ("args", 7, "argument_bytes", 1e6, 0),
    ("out", 5, "output_bytes", 1e6, 0),
    ("temp", 7, "temporary_bytes", 1e6, 0),
    ("code", 5, "program_bytes", 1e6, 0),
    ("kept", 6, "kept_bytes", 1e6, 0),
    ("total", 7, "total_bytes", 1e6, 0),
    ("of chip", 7, "share", 0.01, 1),
    ("moved", 8, "moved_bytes", 1e9, 3),
    ("Gflop", 8, "flops", 1e9, 1),
    ("Mcycles", 7, "modelled_cycles", 1e6, 1),
    ("ms", 8, "step_seconds", 1e-3, 3),
    ("limit", 7, "limit", None, None),
    ("clips/s", 8, "clips_per_second_per_chip", 1, 0),
    ("of all", 9, "clips_per_second", 1, 0),
    ("links", 7, "collective_seconds", 1e-3, 3),
)


def report(
    config: Config,
    target: str,
    *,
    count: int = 1,
    classes: int | None = None,
    suggest: bool = True,
    by_layer: bool = False,
    as_json: bool = False,
) -> list[dict]:
    """Compiles and prints the rows; see the module's docstring.

    Args:
      config: of the experiment.
      target: a name in `vidshift.kernels.analysis.chips.CHIPS`.
      count: chips of the slice.
      classes: of the data set; None takes those of `config.data.name`.
      suggest: look for the largest batch that fits.
      by_layer: say too which of our functions moves how much.
      as_json: print one JSON object a row, else a table.

    Raises:
      ValueError: a field or number that no run could have, a data set whose classes are
        not known.
      RuntimeError: a package is missing.
    """
    check(config)
    devices = chips.describe_slice(target, count)
    config = _whole_batches(config, count)
    mesh = Mesh(np.asarray(devices), ("data",))
    modality = getattr(config.data.options, "modality", "rgb")
    if modality != "rgb":
        raise ValueError(
            "what is compiled is a network of RGB frames, but "
            f"config.data.options.modality={modality}"
        )
    network = model_arguments(config, num_classes=_classes(config, classes))
    networks = [network]
    if network["temporal"] != "tsn":
        networks.append(without_scheme(network))
    # All of them before the first is compiled: a wrong name shows at once.
    programs = [
        (step, which, make(config, which, mesh))
        for step, make in aot.PROGRAMS.items()
        for which in networks
    ]

    def say(row):
        print(json.dumps(row) if as_json else _line(row), flush=True)
        if not as_json:
            print(_layers(row.get("layers", [])), end="", flush=True)
        return row

    if not as_json:
        print(_heading(config, network, devices))
    measure = functools.partial(_measure, target=target, mesh=mesh, by_layer=by_layer)
    rows = [say(measure(*program)) for program in programs]
    if suggest:
        unit = config.optim.accumulate * math.lcm(count, config.norm.group_clips or 1)

        def at(batch):
            changed = dataclasses.replace(config, batch_size=batch)
            program = aot.PROGRAMS["train"](changed, network, mesh)
            return measure("train", network, program)

        best = largest_batch(at, rows[0], unit=unit)
        if not as_json and best is None:
            print(
                f"\nno batch that was tried fits; the smallest there could be is {unit}"
            )
        elif not as_json:
            print(f"\nthe largest batch that fits is about {best['batch']}, compiled:")
        if best:
            rows.append(say(best | {"suggested": True}))
    return rows


def largest_batch(measure_at, first: dict, *, unit: int) -> dict | None:
    """Looks for the largest batch whose train step fits, and has compiled it.

    Args:
      measure_at: batch -> row.
      first: the row of a batch that was compiled already, a multiple of `unit`.
      unit: what batches are multiples of.

    Returns:
      Its row; None if no batch that was tried fits.
    """
    rows = {first["batch"]: first}
    guess = first["batch"] // 2 // unit * unit or 2 * unit
    for _ in range(TRIES):
        rows[guess] = measure_at(guess)
        fits = max((b for b, row in rows.items() if row["fits"]), default=0)
        fails = min((b for b, row in rows.items() if not row["fits"]), default=math.inf)
        guess = _end_of_line(rows, unit)
        if guess is None:  # the compiler gave up and did not say at what
            guess = min(rows) // 2 // unit * unit
        if guess >= fails:  # not as straight as thought
            guess = (fits + fails) // 2 // unit * unit
        if guess <= fits:
            break
    return rows.get(fits)


def _end_of_line(rows: dict[int, dict], unit: int) -> int | None:
    """Finds where the line through the two largest known batches meets the aim."""
    known = sorted(b for b, row in rows.items() if row["total_bytes"] is not None)
    if len(known) < 2:
        return None
    less, more = known[-2:]
    below, above = (rows[b]["total_bytes"] for b in (less, more))
    if above <= below:  # too small to show
        return 2 * more
    per_clip = (above - below) / (more - less)
    left = AIM * rows[more]["capacity_bytes"] - above
    return math.floor((more + left / per_clip) / unit) * unit


def _classes(config: Config, classes: int | None) -> int:
    if classes is not None:
        return classes
    name, known = config.data.name, known_classes()
    if name == arrow_of_time.NAME and config.data.options is not None:
        label = arrow_of_time.label_of(config.data.options).classes
        if label is None:
            raise ValueError(
                "the classes of config.data.options.label=place, three for each video, "
                "are not known; say how many with --num-classes"
            )
        return len(label)
    if name not in known:
        raise ValueError(
            f"the classes of config.data.name={name!r} are not known (known: "
            f"{', '.join(known)}); say how many with --num-classes"
        )
    return known[name]


def known_classes() -> dict[str, int]:
    """Returns the number of classes of each data set that can be known without it."""
    return {
        "ordered_motion": len(motion_clips.CLASSES),
        arrow_of_time.NAME: len(arrow_of_time.LABELS["direction"].classes),
        "tfds_images": 1000,  # ImageNet's
        **{name: it.num_classes for name, it in DATASETS.items() if it.num_classes},
    }


def _whole_batches(config: Config, count: int) -> Config:
    """Raises batches to the next that divide by the chips, and says so."""
    for field, parts in (
        ("batch_size", config.optim.accumulate),
        ("eval_batch_size", 1),
    ):
        size, unit = getattr(config, field), count * parts
        if field == "batch_size":
            unit = parts * math.lcm(count, config.norm.group_clips or 1)
        if size % unit:
            whole = -(-size // unit) * unit
            also = f" x {parts} parts" if parts > 1 else ""
            print(
                f"config.{field}={size} does not divide by {count} chips{also}; this is "
                f"for --config.{field}={whole}",
                file=sys.stderr,
            )
            config = dataclasses.replace(config, **{field: whole})
    return config


def _measure(
    step: str,
    network: dict,
    program: aot.ChipProgram,
    *,
    target: str,
    mesh: Mesh,
    by_layer: bool,
) -> dict:
    """Compiles one row, and says on stderr what takes so long."""
    batch = program.arguments[-1]["label"].size
    what = (
        f"compiling the {step} step of {network['temporal']} for {mesh.size} {target}, "
        f"batch {batch}"
    )
    with working(what, begin=True):
        measured = aot.measure(program, target, mesh, by_layer=by_layer)
    row = {
        "step": step,
        "backbone": network["backbone"],
        "temporal": network["temporal"],
        "batch": batch,
        "clips": program.clips,
        "target": target,
        "chips": mesh.size,
        "dtype": network["dtype"],
        "jax": jax.__version__,
        "suggested": False,
        **measured,
    }
    if row["total_bytes"] is not None:
        row["share"] = row["total_bytes"] / row["capacity_bytes"]
    if row["error"] is None:
        bound = row["memory_seconds"] > row["compute_seconds"]
        row["limit"] = "memory" if bound else "compute"
        row["clips_per_second_per_chip"] = row["clips_per_second"] / mesh.size
    to_stderr(f"... {row['compile_seconds']:.0f} s")
    return row


def _heading(config: Config, network: dict, devices) -> str:
    data = config.data
    numbers = " ".join(f"{heading:>{width}}" for heading, width, *_ in COLUMNS)
    alone = ""
    if config.adaptive.mode != "off":
        alone = (
            f"\nadaptive.mode={config.adaptive.mode}: the step is the full network's "
            "alone; programs of sub-networks come on top and are not counted"
        )
    return (
        f"{network['backbone']}, {network['num_classes']} classes, {data.num_frames} "
        f"frames of {data.crop} x {data.crop}, {network['dtype']}; for {len(devices)} x "
        f"{devices[0].device_kind}, by jax {jax.__version__}{alone}\n\n"
        f"{'step':15} {'batch':>7} {'fits':4} {numbers}  collectives"
    )


def _line(row: dict) -> str:
    start = (
        f"{row['step'] + ' ' + row['temporal']:15} {row['batch']:7} "
        f"{'yes' if row['fits'] else 'NO':4} "
    )
    cells = " ".join(
        f"{_cell(row.get(field), divisor, decimals):>{width}}"
        for _, width, field, divisor, decimals in COLUMNS
    )
    if row["error"]:
        return f"{start}{cells}  {row['error']}"
    exchanged = ", ".join(
        f"{c['count']} {kind} of {c['size_bytes'] / 1e6:.1f} MB"
        for kind, c in row["collectives"].items()
    )
    return f"{start}{cells}  {'; '.join([exchanged or 'none', *row['notes']])}"


def _layers(rows: list[dict]) -> str:
    """Lines of MB, launches and thousands of modelled cycles of our functions."""
    return "".join(
        f"{row['size_bytes'] / 1e6:12.2f} MB {row['launches']:5} launches "
        f"{row['cycles'] / 1e3:9.0f} kcycles  {row['kind']:34} {row['layer']}\n"
        for row in rows
    )


def _cell(value, divisor, decimals) -> str:
    if value is None:
        return "-"
    return value if divisor is None else f"{value / divisor:.{decimals}f}"
