"""Times whole networks on this machine's device, beside TSN.

    vidshift speed
    vidshift speed resnet50/tsm resnet101/tsm:placement=block --dtype bfloat16
    vidshift speed resnet_tiny/tsm --side 32      # on a CPU: under a minute
    vidshift speed --table tsm-5 --seconds 10     # a paper's table, our times beside it

A NAME is BACKBONE/TEMPORAL, with options of vidshift.create after a colon and commas
between them; BACKBONE alone means every scheme. Without a NAME it times the networks of
the papers' tables of latency. Networks of one backbone take turns in one process, so
that what disturbs the machine disturbs them all.

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

The papers' tables of latency:

  tsm-fig-2a    overhead of the shift by the share of channels that it moves
  tsm-5         TSM and I3D
  tsm-6         a frame of a stream, ResNet-50
  tsm-8         a frame of a stream, MobileNetV2
  vsn-6         VSN beside TSN and TSM
  gsf-12        GSF beside TSM and RubiksNet
  rubiksnet-a2  one block as 3-D convolution, as 2-D convolution and shift, as RubiksShift

--table prints the paper's rows, its protocol and its device, and the same networks timed
here: all rows of a measure take turns, --seconds for each, so a mean of 1000 runs is a
median of fewer, whose number is printed. Ratios are medians over the turns. --side,
--batch (of throughput) and --dtype replace the paper's own. tsm-6 and tsm-8 also time a
file of `vidshift export --kind stream` by itself, in the format's own runtime on the CPU.
"""

import pathlib

from vidshift.command_line.arguments import add_json, count, positive

PROGRAM = "vidshift.speed.program"


def add_arguments(parser):
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="default: resnet50 mobilenet_v2")
    add("--table", metavar="TABLE", help="a paper's table, instead of networks by NAME")
    add("--file", metavar="FILE", type=pathlib.Path, help="an exported stream, beside")
    add("--num-frames", type=count, help="of a clip (default: 8)")
    add("--side", type=count, help="of a frame, pixels (default: 224)")
    add("--batch", type=count, help="clips, of throughput (default: 16)")
    add("--train-batch", type=count, help="clips, of a train step (default: 16)")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "both"),
        help="of the computing (default: both; of a table, its own)",
    )
    add(
        "--seconds",
        type=positive,
        default=1,
        help="of timing a row, roughly (default: 1)",
    )
    add(
        "--no-train",
        action="store_true",
        default=None,
        help="leave the train step out",
    )
    add_json(parser)
