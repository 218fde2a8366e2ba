"""Compiles the operations for absent chips: `vidshift targets`."""

import argparse
import json
import sys
import time
from collections import defaultdict

import jax
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding

from vidshift.kernels import triton_gpu
from vidshift.kernels.analysis import cases, chips, hlo, traffic
from vidshift.kernels.analysis.cases import Case

COLUMNS = (  # heading, width, field, divided by
    ("fewest", 8, "fewest_bytes", 1e6),
    ("us", 6, "least_seconds", 1e-6),
    ("pad", 5, "padding", 1),
    ("kernel", 8, "kernel_bytes", 1e6),
    ("ratio", 6, "kernel_ratio", 1),
    ("program", 8, "program_bytes", 1e6),
    ("ratio", 6, "program_ratio", 1),
    ("temp", 8, "temporary_bytes", 1e6),
    ("Gflop", 6, "flops", 1e9),
    ("Mcycles", 7, "cycles", 1e6),
    ("regs", 5, "registers", None),
    ("spill", 5, "spill_bytes", None),
)
SASS_COLUMNS = (  # with --sass
    ("instr", 6, "instructions", 1),
    ("progs", 5, "programs_an_sm", None),
    ("lanes", 5, "lanes", 1),
    ("sector", 6, "sectors", 1),
)


def main(options: argparse.Namespace) -> int:
    cases.pick("--target", options.target, chips.CHIPS)
    chosen = cases.chosen(options)
    chip = chips.CHIPS[options.target]
    chosen = [c for c in chosen if c.platforms is None or chip.platform in c.platforms]
    if not chosen:
        raise ValueError(
            f"--implementation={options.implementation} does not run on {options.target}"
        )
    try:
        device = chips.describe(options.target)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    columns = COLUMNS + (SASS_COLUMNS if options.sass else ())
    if not options.json:
        print(f"for {device.device_kind}, {options.dtype}, by jax {jax.__version__}\n")
        print(_heading(columns))
    rows = []
    for case in chosen:
        rows.append(row := measure(case, options.target, device))
        print(json.dumps(row) if options.json else _line(row, columns), flush=True)
    failed = [r for r in rows if not r["compiled"]]
    out = sys.stderr if options.json else sys.stdout
    print("\n" + _summary(rows), file=out)
    return 1 if failed else 0


def measure(case: Case, target: str, device) -> dict:
    """Returns a row: the fields of `COLUMNS`, the case, `compiled` and `error`."""
    chip = chips.CHIPS[target]
    case = case.on(chip.platform)
    fewest = traffic.fewest_bytes(case, chip.platform)
    row = case.row() | {
        "target": target,
        "jax": jax.__version__,
        "compiled": False,
        "error": None,
        "fewest_bytes": fewest,
        "least_seconds": fewest / chip.peak_bytes_per_second,
        "padding": fewest / traffic.fewest_bytes(case, "without padding"),
    }
    start = time.perf_counter()
    try:
        compiled = _compile(case, chip, device)
    except Exception as error:  # noqa: BLE001  whatever a compiler raises is this row's
        return row | {"error": f"{type(error).__name__}: {error}"}
    row |= {"compiled": True, "compile_seconds": time.perf_counter() - start}
    text = compiled.as_text()
    program = hlo.program_bytes(text)
    cost = compiled.cost_analysis() or {}  # None on a GPU
    row |= {
        "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
        "flops": cost.get("flops"),
        "cycles": hlo.estimated_cycles(text),
        "layouts": hlo.entry_layouts(text),
        "notes": sorted(program.notes),
    }
    kernel = 0
    if program.kernels:
        try:
            kernel = traffic.kernel_bytes(case)
        except NotImplementedError as error:
            return row | {"error": f"bytes not counted: {error}"}
        row |= {"kernel_bytes": kernel, "kernel_ratio": kernel / fewest}
    moved = program.size_bytes + kernel
    row |= {"program_bytes": moved, "program_ratio": moved / fewest}
    if case.table_row.resources is not None:
        row |= _resources(case, chip)
    return row


def _compile(case: Case, chip: chips.Chip, device):
    free = Format(Layout.AUTO, SingleDeviceSharding(device))
    program = jax.jit(case.function(), in_shardings=free, out_shardings=free)
    with triton_gpu.compiling_for(chip.compute_capability):
        lowered = program.trace(*case.arguments()).lower(
            lowering_platforms=(chip.platform,)
        )
        return lowered.compile()


def _resources(case: Case, chip: chips.Chip) -> dict:
    """Registers and the like, the most of any kernel of the case."""
    most = case.table_row.resources(
        case.direction,
        case.shape.x,
        case.dtype,
        compute_capability=chip.compute_capability,
        **case.shape.arguments,
    )
    return {
        "registers": most["registers"],
        "spill_bytes": most["spills"],
        "programs_an_sm": most["programs_an_sm"],
        # Of kernels whose plan counts them.
        **{key: most.get(key) for key in ("instructions", "lanes", "sectors")},
    }


def _heading(columns) -> str:
    numbers = " ".join(f"{heading:>{width}}" for heading, width, *_ in columns)
    return f"{'operation':44} {'shape':17} {'x':>18} {numbers}"


def _line(row: dict, columns) -> str:
    name = f"{row['op']} {row['implementation']} {row['direction']}"
    dims = "x".join(map(str, row["x"]))
    start = f"{name:44} {row['shape']:17} {dims:>18} "
    if not row["compiled"]:
        return start + row["error"].splitlines()[0]
    cells = [
        f"{_cell(row.get(field), divisor):>{width}}"
        for _, width, field, divisor in columns
    ]
    return start + " ".join([*cells, row["error"] or ""]).rstrip()


def _cell(value, divisor) -> str:
    if value is None:
        return "-"
    if divisor is None:
        return str(value)
    return f"{value / divisor:.2f}" if divisor in (1, 1e9) else f"{value / divisor:.1f}"


def _summary(rows: list[dict]) -> str:
    compiled = sum(r["compiled"] is True for r in rows)
    lines = [f"{compiled} compiled, {len(rows) - compiled} failed"]
    by_kernel = defaultdict(dict)
    for r in rows:
        if "kernel_bytes" in r:
            moved = by_kernel[r["op"], r["implementation"]].setdefault(r["shape"], {})
            moved[r["direction"]] = r["kernel_bytes"], r["fewest_bytes"]
    for (op, implementation), shapes in by_kernel.items():
        line = f"{op} {implementation}, kernel bytes over the fewest, worst shape:"
        for directions in (("forward",), ("forward", "backward")):
            ratios = {
                name: sum(moved[d][0] for d in directions)
                / sum(moved[d][1] for d in directions)
                for name, moved in shapes.items()
                if all(d in moved for d in directions)
            }
            if ratios:
                worst = max(ratios, key=ratios.get)
                line += f" {' + '.join(directions)} {ratios[worst]:.3f} ({worst});"
        lines.append(line.rstrip(";"))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
