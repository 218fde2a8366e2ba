"""Writes a network as a file that other programs run, and checks it.

    vidshift export --run runs/mine --format onnx
    vidshift export --run runs/online --format tflite --kind stream
    vidshift export --network mobilenet_v2/tsm --format stablehlo --out a.shlo

  stablehlo  for JAX on CPU, TPU and GPU: vidshift.export.load(FILE), or jax.export
  onnx       operations of the standard alone; needs the extra [onnx]
  tflite     builtin operations alone, a fixed batch; needs the extra [tflite]

A clip network takes `clips`, uint8 [B, T, H, W, 3], to `logits`; normalisation is
inside. A streaming one takes `frame`, uint8 [B, H, W, 3], and the arrays that it kept
of the frame before (zeros where a stream begins), to `logits` and the arrays to keep:
what goes in as NAME comes out as next.NAME. FILE.json says all of it.

The file is run, in another process, on random clips of several frames, and compared with
the network's own answers. Prints a JSON line; exits 1, leaving no file, if the largest
difference is above 1e-4 of the largest logit, and 2 if it cannot be exported.
"""

import argparse
import pathlib

from vidshift.command_line.arguments import add_checkpoint, add_run, count, positive

PROGRAM = "vidshift.export.writing"


def batch(text: str) -> int | str:
    return text if text == "symbolic" else count(text)


batch.__name__ = "whole number or symbolic"  # what argparse calls other text


def add_arguments(parser):
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group(required=True)
    add_run(which)
    which.add_argument(
        "--network",
        metavar="NAME",
        help="backbone/scheme:option=value,... with random weights, for trying",
    )
    add_checkpoint(parser)
    add("--format", required=True, choices=("stablehlo", "onnx", "tflite"))
    add("--kind", choices=("clip", "stream"), default="clip", help="default: clip")
    add(
        "--out",
        type=pathlib.Path,
        metavar="FILE",
        help="default: RUN/export/KIND.FORMAT",
    )
    add(
        "--batch",
        type=batch,
        metavar="N",
        help="clips or streams of a call, or symbolic: any number; the default where "
        "the format can, else 1",
    )
    add(
        "--size",
        type=count,
        nargs=2,
        metavar=("H", "W"),
        help="of the frames; default: the run's crop",
    )
    add(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="inside the file; without, it takes float32 that is normalised",
    )
    add(
        "--tolerance",
        type=positive,
        default=1e-4,
        metavar="X",
        help="of the largest logit, by which the file's may differ (default: 1e-4)",
    )
    add(
        "--num-classes",
        type=count,
        default=10,
        metavar="K",
        help="of --network (default: 10)",
    )
    add(
        "--num-frames",
        type=count,
        default=8,
        metavar="T",
        help="of --network (default: 8)",
    )
