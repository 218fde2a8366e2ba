"""Turns a PyTorch checkpoint into one of vidshift's.

    vidshift convert tsm_ssv2.pth --backbone resnet50 --temporal tsm \\
        --classes labels.json --out runs/official_tsm
    vidshift convert resnet50-0676ba61.pth --backbone resnet50 --out imagenet

FILE is what the official code saved: `.pth`, `.pth.tar`, `.pt`, `.pyth` or
`.safetensors`. It is read without PyTorch, and no code in it is run. The result is for
`vidshift.load(DIR)`, `vidshift eval --run=DIR` and `vidshift train --config.init=DIR`.
An image network, as in the second command, initialises its backbone under every scheme.

The checkpoint also says how clips are prepared: sides and normalisation are those of
the official code for the backbone. Slow and SlowFast are tested on 256 pixels with the
pooling of the 224 that they were trained on (`head_size`). The official Inceptions take
BGR from 0 to 255; their first convolution is turned round here, so that they take RGB
as all others do.
"""

import argparse
import pathlib

from vidshift.command_line.arguments import count

PROGRAM = "vidshift.convert"


def add_arguments(parser):
    add = parser.add_argument
    add("file", type=pathlib.Path, metavar="FILE", help="PyTorch's or safetensors'")
    add("--backbone", required=True, metavar="NAME", help="of vidshift.BACKBONES")
    add(
        "--temporal",
        default="tsn",
        metavar="NAME",
        help="of vidshift.SCHEMES (default: tsn)",
    )
    add(
        "--out",
        required=True,
        type=pathlib.Path,
        metavar="DIR",
        help="a new run's folder",
    )
    add("--num-classes", type=count, metavar="N", help="default: the file's head's")
    add("--num-frames", type=count, metavar="T", help="of a clip; 8, SlowFast 32")
    add(
        "--classes",
        type=pathlib.Path,
        metavar="FILE",
        help="names: one a line, or .json (a list, name: number, number: name)",
    )
    add("--data", default="", metavar="NAME", help="the data set that eval scores")
    add(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of vidshift.create, such as variant=attention; may be repeated",
    )
    add(
        "--bgr",
        action=argparse.BooleanOptionalAction,
        help="the file's network takes BGR from 0 to 255; as the official Inceptions do",
    )
    add("--skip-head", action="store_true", help="leave the file's head out, draw one")
