"""Measures kernels and networks on this device, and writes the tables.

    vidshift measure --out measured
    vidshift measure --out measured --parts check networks --minutes 4
    vidshift measure --out /tmp/measured --small      # on a CPU: some minutes

Needs jax, flax, optax, jaxtyping and, on an NVIDIA GPU, jax-triton; no network, no data
set. The parts, most valuable first:

  check     errors of every implementation that runs here, and of what runs with none
            named: values and gradients beside xla in float32, at the networks' shapes
            and at edges (one frame, odd channels, strides, rounded and unbounded shifts)
  networks  ResNet-50 under TSN and TSM: latency at 1, throughput at 16 and 64, train step
  bench     the operations' times, as `vidshift bench` has them
  profile   a trace of TSM's train step and inference: time by kind, gaps, our kernels
  more      as networks: VSN, GSF, RubiksNet's tiers, Slow, SlowFast
  pytorch   TSN and TSM by PyTorch, where torch and torchvision are installed: eager and
            compiled, channels last, the official code's shift and a faster one
  papers    the papers' tables of latency, as `vidshift speed --table` has them

Each part is a process of its own and has its share of --minutes, and what earlier parts
left; a part that is cut off, hangs or crashes costs its own rows alone. Rows are written
to DIR as they come, and the same command goes on with those that are missing. A DIR of
another device or other versions is refused.

Writes DIR/measured.md and DIR/measured.json. Exits with 1 if a kernel is wrong.
"""

import pathlib

from vidshift.command_line.arguments import positive

PROGRAM = "vidshift.measure.program"
PARTS = ("check", "networks", "bench", "profile", "more", "pytorch", "papers")


def add_arguments(parser):
    add = parser.add_argument
    add("--out", metavar="DIR", required=True, type=pathlib.Path, help="its folder")
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add(
        "--minutes",
        type=positive,
        default=8,
        help="of all parts together (default: 8)",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="bfloat16",
        help="of what is timed (default: bfloat16)",
    )
    add("--small", action="store_true", help="small networks and shapes, as a trial")
    add("--restart", action="store_true", help="remove the rows that DIR has")
    add(
        "--render",
        action="store_true",
        help="measure nothing; write the tables of the rows that DIR has",
    )
