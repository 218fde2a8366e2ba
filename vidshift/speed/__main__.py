"""Times whole networks on this machine's device, each beside the same network under TSN.

    python -m vidshift.speed
    python -m vidshift.speed resnet50/tsm resnet101/tsm:placement=block --dtype bfloat16
    python -m vidshift.speed resnet_tiny/tsm --side 32      # on a CPU: under a minute

A NAME is BACKBONE/TEMPORAL, with options of vidshift.create after a colon and commas
between them; BACKBONE alone is it under every scheme. Without a NAME: what the papers'
tables of latency hold. All of one backbone takes turns in one
process, so that what disturbs the machine disturbs it all.

  latency     the forward pass, batch 1; each call is waited for before the next
  throughput  the forward pass, --batch clips; calls are queued, as a program would
  train       forward, backward and SGD's update, --train-batch clips, each step on the
              state that the last one left
  ms          median of blocks of calls, and quartiles
  x TSN       this network's time over TSN's: 1.02 takes 2 % longer
  MB          of the compiled program: arguments, results, working memory
  compile     seconds

Weights and clips are random, and on the device before; clips are normalised already, so
neither decoding nor transfer is part of this. Parameters are float32; --dtype is what is
computed in. A float32 product is what the device makes of it by default (TF32 on an
NVIDIA GPU, bfloat16 on a TPU); JAX_DEFAULT_MATMUL_PRECISION=highest asks for all bits.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import json

import jax

import vidshift
from vidshift.command_line import errors
from vidshift.command_line.arguments import count, make_parser, positive
from vidshift.config import DTYPES
from vidshift.speed.comparison import IN_TABLES, beside_tsn, measure_group, model_of


@errors.reported
def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    groups = beside_tsn(options.names or IN_TABLES)
    for network in (n for group in groups for n in group):
        model_of(network, dtype="float32", frames=options.frames)
    device = jax.devices()[0]
    here = {"device": device.device_kind, "platform": device.platform}
    here["jax"] = jax.__version__
    batches = {"latency": 1, "throughput": options.batch}
    if not options.no_train:
        batches["train"] = options.train_batch
    if not options.json:
        print(
            f"{device.device_kind} ({device.platform}), jax {jax.__version__}; "
            f"{options.frames} frames of {options.side} x {options.side}"
        )
    for dtype in DTYPES if options.dtype == "both" else [options.dtype]:
        if not options.json:
            print(f"\n{dtype}\n{HEADING}", flush=True)
        for group in groups:
            for measure, rows in batches.items():
                shape = (rows, options.frames, options.side, options.side, 3)
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


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "python -m vidshift.speed",
        __doc__,
        epilog=f"Backbones: {', '.join(vidshift.BACKBONES)}. "
        f"Schemes: {', '.join(vidshift.SCHEMES)}.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"default: {IN_TABLES}")
    add("--frames", type=count, default=8, help="of a clip; 8")
    add("--side", type=count, default=224, help="of a frame, pixels; 224")
    add("--batch", type=count, default=16, help="clips, of throughput; 16")
    add("--train-batch", type=count, default=16, help="clips, of a train step; 16")
    add("--dtype", choices=(*DTYPES, "both"), default="both", help="both")
    add("--seconds", type=positive, default=1, help="of timing a row, about; 1")
    add("--no-train", action="store_true", help="leave the train step out")
    add("--json", action="store_true", help="one JSON object a row")
    return parser


if __name__ == "__main__":
    errors.run(main)
