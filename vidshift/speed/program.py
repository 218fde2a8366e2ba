"""Networks timed beside TSN: `vidshift speed`."""

import argparse
import json

import jax

from vidshift.config import DTYPES
from vidshift.speed import paper_program
from vidshift.speed.comparison import IN_TABLES, beside_tsn, measure_group, model_of

# Of networks by name; a table has its own, so these are None where they are not given.
DEFAULTS = {"num_frames": 8, "side": 224, "batch": 16, "train_batch": 16}
DEFAULTS |= {"dtype": "both", "no_train": False}


def main(options: argparse.Namespace) -> int:
    if options.table:
        return paper_program.main(options)
    if options.file:
        raise ValueError(f"--file={options.file} is timed in a --table: tsm-6 or tsm-8")
    for name, value in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    dtypes = DTYPES if options.dtype == "both" else [options.dtype]
    groups = beside_tsn(options.names or IN_TABLES)
    for network in (n for group in groups for n in group):
        model_of(network, dtype="float32", frames=options.num_frames)
    device = jax.devices()[0]
    here = {"device": device.device_kind, "platform": device.platform}
    here["jax"] = jax.__version__
    batches = {"latency": 1, "throughput": options.batch}
    if not options.no_train:
        batches["train"] = options.train_batch
    if not options.json:
        print(
            f"{device.device_kind} ({device.platform}), jax {jax.__version__}; "
            f"{options.num_frames} frames of {options.side} x {options.side}"
        )
    for dtype in dtypes:
        if not options.json:
            print(f"\n{dtype}\n{HEADING}", flush=True)
        for group in groups:
            for measure, rows in batches.items():
                shape = (rows, options.num_frames, options.side, options.side, 3)
                for row in measure_group(group, measure, shape, dtype, options.seconds):
                    # The device's own peak: of this process so far.
                    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
                    row |= here | {"device_peak_bytes": peak}
                    print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


HEADING = (
    f"{'network':32} {'measure':10} {'batch':>5} {'ms':>9} {'(quartiles)':>19} "
    f"{'clips/s':>8} {'x TSN':>6} {'MB':>7} {'compile':>7}"
)


def _line(row: dict) -> str:
    start = f"{row['name']:32} {row['measure']:10} {row['batch']:5} "
    if row["error"]:
        return start + row["error"]
    low, high = (1e3 * s for s in row["seconds_quartiles"])
    ratio = "-" if row["times_tsn"] is None else f"{row['times_tsn']:.3f}"
    return start + (
        f"{1e3 * row['seconds']:9.3f} {f'({low:.3f}..{high:.3f})':>19} "
        f"{row['clips_per_second']:8.1f} {ratio:>6} {row['program_bytes'] / 1e6:7.0f} "
        f"{row['compile_seconds']:7.1f}"
    )
