"""Times the operations here and measures their errors: `vidshift bench`."""

import argparse
import glob
import importlib.util
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.kernels.analysis import cases, timing, traces, traffic
from vidshift.kernels.analysis.cases import Case

# `jax.devices()[0].platform` by the name that lowering has for it.
DEVICES = {"tpu": "TPU", "cuda": "NVIDIA GPU"}
COPY = "the copy"
# Bytes that the calls of an accelerator's program move together: many times its caches,
# and enough to take longer than the host takes to start the program.
ROUND_BYTES = 2**30


def main(options: argparse.Namespace) -> int:
    chosen = cases.chosen(options)
    wanted = start_jax()
    device = jax.devices()[0]
    platform = platform_of(device)
    if wanted and not {platform, device.platform} & set(wanted.split(",")):
        print(f"JAX_PLATFORMS={wanted}: there is {device.platform}", file=sys.stderr)
        return 2
    if not options.json:
        print(f"{device.device_kind} ({platform}), jax {jax.__version__}, ", end="")
        print(f"{options.dtype}\n")
        print(_heading())
    here = {"device": device.device_kind, "platform": platform, "jax": jax.__version__}
    groups = {}
    chosen = [case.on(platform) for case in chosen]
    for case in chosen:
        groups.setdefault((case.op, case.shape.name, case.direction), []).append(case)
    compiled = []
    for group in groups.values():
        for row, program in measure(group, platform, options.seconds):
            print(json.dumps(row | here) if options.json else _line(row), flush=True)
            compiled.append(program)
    if options.trace:
        ran = [(c, p) for c, p in zip(chosen, compiled, strict=True) if p is not None]
        record(ran, options.trace)
        table = traces.programs(options.trace)
        if options.json:
            for name, found in table.items():
                print(json.dumps({"trace": name} | found._asdict() | here))
        else:
            print(_trace_table(table, options.trace))
    return 0


def measure(group: list[Case], platform: str, seconds: float) -> list[tuple]:
    """Returns (row, compiled program or None) of each case of a shape and direction."""
    if all(not_here(c, platform) for c in group):
        return [(c.row() | {"not_here": not_here(c, platform)}, None) for c in group]
    arrays = inputs(group[0])
    running = running_cases(group, platform)
    wanted = reference(running[-1]._replace(implementation="xla"), arrays)
    compiled, errors = {}, {}
    for case in running:
        program = jax.jit(case.function()).lower(*arrays).compile()
        compiled[case.implementation] = program
        errors[case.implementation] = largest_error(case, program(*arrays), wanted)
    calls = calls_together(group[0], platform)
    programs = {
        name: repeated(function, given, calls)
        for name, (function, given) in contenders(running, arrays).items()
    }
    times = timing.side_by_side(programs, calls=calls, seconds=seconds)
    rows = rows_of(group, platform, times, errors)
    return [(row, compiled.get(row["implementation"])) for row in rows]


def running_cases(group: list[Case], platform: str) -> list[Case]:
    """Returns the cases that run here, and `xla`'s, which the others are compared with."""
    plain = group[0]._replace(implementation="xla")
    running = [c for c in group if not not_here(c, platform)]
    return running + ([] if plain in running else [plain])


def calls_together(case: Case, platform: str) -> int:
    """Returns how often a program calls its operation."""
    return 1 if platform == "cpu" else max(1, ROUND_BYTES // least_bytes(case))


def least_bytes(case: Case) -> int:
    return sum(map(traffic.logical_bytes, case.least_arrays()))


def contenders(running: list[Case], arrays) -> dict[str, tuple]:
    """Returns what takes turns: name -> (function, its arrays), with the copy."""
    # Read and written: half of the bytes each.
    copied = jnp.ones(least_bytes(running[0]) // 8, jnp.float32)
    found = {c.implementation: (c.function(), arrays) for c in running}
    return found | {COPY: (jnp.negative, (copied,))}


def rows_of(
    group: list[Case], platform: str, times: dict, errors: dict[str, float]
) -> list[dict]:
    """Returns the rows of a shape and direction; `errors` may lack some."""
    rows = []
    for case in group:
        row = case.row() | {"not_here": not_here(case, platform)}
        if not row["not_here"]:
            taken, least = times[case.implementation], least_bytes(case)
            row |= {
                "error": errors.get(case.implementation),
                "seconds": taken.median,
                "seconds_quartiles": (taken.low, taken.high),
                "blocks": taken.blocks,
                "least_bytes": least,
                "bytes_per_second": least / taken.median,
                "copy_seconds": times[COPY].median,
                "of_copy": times[COPY].median / taken.median,
                "over_xla": times["xla"].median / taken.median,
            }
        rows.append(row)
    return rows


def platform_of(device) -> str:
    """Returns a device's platform as lowering calls it."""
    return "cuda" if "NVIDIA" in device.device_kind else device.platform


def not_here(case: Case, platform: str) -> str | None:
    """Returns the reason why a case is not timed on this device, or None."""
    if case.platforms and platform not in case.platforms:
        needed = " or ".join(f"a {DEVICES[p]}" for p in case.platforms)
        return f"{case.implementation}: needs {needed.replace('a NVIDIA', 'an NVIDIA')}"
    return None


def inputs(case: Case) -> tuple[jax.Array, ...]:
    """Draws normal features, shifts over the whole range, dy for the first clip."""
    key = jax.random.key(0)
    primals = case.primals()
    x = primals["x"]
    arrays = [jax.random.normal(key, x.shape, x.dtype)]
    if "shift" in primals:
        bound = jnp.array(case.shape.options["max_shift"])[:, None]
        shift = jax.random.uniform(jax.random.fold_in(key, 1), primals["shift"].shape)
        arrays.append(bound * (2 * shift - 1))
    if "weight" in primals:
        c, k = primals["weight"].shape
        weight = jax.random.normal(jax.random.fold_in(key, 3), (c, k))
        arrays.append(weight / c**0.5)
    if case.direction == "backward":
        dy = case.arguments()[-1]
        every = jax.random.normal(jax.random.fold_in(key, 2), dy.shape, dy.dtype)
        rows = every.shape[2] if case.in_frames else every.shape[0]
        in_first = jnp.arange(rows) % case.shape.x[0] == 0
        axis = (1, 1, rows, 1) if case.in_frames else (rows, 1, 1, 1, 1)
        arrays.append(jnp.where(in_first.reshape(axis), every, 0))
    return tuple(jax.block_until_ready(arrays))


def reference(case: Case, arrays) -> list[np.ndarray]:
    """Computes results for the first clip by XLA in float64 on the CPU."""
    plain = case._replace(implementation="xla").function()
    first = [first_clip(case, a).astype(np.float64) for a in arrays]
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        return [np.asarray(r) for r in jax.tree.leaves(jax.jit(plain)(*first))]


def first_clip(case: Case, array) -> np.ndarray:
    """Takes the first clip of features; other arrays stay whole."""
    if array.ndim == 5:
        array = array[:1]
    elif array.ndim == 4:
        array = array[:, :, :: case.shape.x[0]]
    return np.asarray(array)


def largest_error(case: Case, results, wanted) -> float:
    """Returns the largest error, relative to each result's largest value."""
    worst = 0.0
    for result, right in zip(jax.tree.leaves(results), wanted, strict=True):
        first = first_clip(case, result).astype(np.float64)
        worst = max(worst, float(np.max(np.abs(first - right)) / np.max(np.abs(right))))
    return worst


def record(compiled: list, directory: str, calls: int = 3) -> None:
    """Records a trace of a few calls of each compiled case, without Python's calls."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(directory, profiler_options=options):
        for case, program in compiled:
            arrays = inputs(case)
            with jax.profiler.TraceAnnotation(case.name, shape=case.shape.name):
                for _ in range(calls):
                    jax.block_until_ready(program(*arrays))


def repeated(function, arrays, calls: int):
    """Returns a program of several calls, each on its own inputs, that has run once."""
    program, inputs = several_calls(function, arrays, calls)
    jax.block_until_ready(program(inputs))
    return lambda: program(inputs)


def several_calls(function, arrays, calls: int) -> tuple:
    """Returns a jitted program of several calls, and the inputs of each."""
    inputs = [arrays] + [jax.tree.map(jnp.copy, arrays) for _ in range(calls - 1)]
    return jax.jit(lambda inputs: [function(*arrays) for arrays in inputs]), inputs


def start_jax() -> str | None:
    """Returns the platforms asked for; adds the CPU, which the reference needs."""
    wanted = jax.config.jax_platforms
    devices = ("accel*", "vfio/*", "nvidia*", "dxg", "kfd")  # TPU; NVIDIA, WSL; AMD
    none_here = not any(glob.glob(f"/dev/{d}") for d in devices)
    if not wanted and none_here and importlib.util.find_spec("libtpu"):
        # Installed without a TPU it makes the profiler crash.
        jax.config.update("jax_platforms", "cpu")
    elif wanted and "cpu" not in wanted.split(","):
        jax.config.update("jax_platforms", wanted + ",cpu")
    return wanted


def _heading() -> str:
    return (
        f"{'operation':36} {'shape':17} {'x':>18} {'error':>8} "
        f"{'ms':>9} {'(quartiles)':>21} {'GB/s':>7} {'copy':>5} {'xla':>6}"
    )


def _line(row: dict) -> str:
    name = f"{row['op']} {row['implementation']} {row['direction']}"
    dims = "x".join(map(str, row["x"]))
    start = f"{name:36} {row['shape']:17} {dims:>18} "
    if row["not_here"]:
        return start + row["not_here"]
    low, high = (1e3 * s for s in row["seconds_quartiles"])
    return start + (
        f"{row['error']:8.1e} {1e3 * row['seconds']:9.3f} "
        f"{f'({low:.3f}..{high:.3f})':>21} {row['bytes_per_second'] / 1e9:7.1f} "
        f"{row['of_copy']:5.2f} {row['over_xla']:6.2f}"
    )


def _trace_table(table: dict, directory: str) -> str:
    lines = [f"\nread back from the trace in {directory}", ""]
    lines.append(f"{'program':36} {'ms in all':>10} {'operations':>10}")
    for name, found in table.items():
        lines.append(f"{name:36} {1e3 * found.seconds:10.3f} {found.operations:10}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
