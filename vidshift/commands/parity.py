"""Compares networks with the official code on this device.

    vidshift parity tests/golden/*.json

A case names a model, its official state dict's keys and shapes, and a clip's seed; the
official code's output on made-up weights and clip lies in a `.npz` beside it. Prints one
JSON line a case and exits 1 if an error is above 1e-4 of the largest output.

A case with `training` in it compares the first optimiser steps instead, in float64: the
loss, gradients, parameters and running statistics of step 1 to 1e-6, and the losses of the
first five steps to 1e-5. All its steps' losses are printed.
"""

import pathlib

PROGRAM = "vidshift.parity"


def add_arguments(parser):
    parser.add_argument("cases", nargs="+", type=pathlib.Path, metavar="CASE.json")
