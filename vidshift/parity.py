"""Networks compared with the official code: `vidshift parity`."""

import sys

if __name__ == "__main__":
    from vidshift.cli import main as command

    command(["parity", *sys.argv[1:]])

import argparse
import json
import pathlib
import zipfile

import jax
import numpy as np
from flax import nnx

from vidshift.nets import create
from vidshift.nets.drawn import made_up_weights
from vidshift.torch_weights import load_torch
from vidshift.training.official_steps import KINDS, compare_steps

TOLERANCE = 1e-4  # float32, the same function, another order of summation
# Of training steps, in float64; what follows the fifth has drifted apart by more steps.
STEP_TOLERANCE, LOSS_TOLERANCE, CHECKED_LOSSES = 1e-6, 1e-5, 5


def made_up_clip(case: dict) -> np.ndarray:
    """Normalised frames `[batch, num_frames, size, size, 3]`."""
    shape = (case["batch"], case["num_frames"], case["size"], case["size"], 3)
    rng = np.random.default_rng(case["input_seed"])
    return rng.standard_normal(shape).astype(np.float32)


# What the official code put out -> the same from our model.
OUTPUTS = {
    "logits": lambda model, clip: model(clip),
    "logits_per_frame": lambda model, clip: model.frame_logits(clip)[0],
    "probs": lambda model, clip: jax.nn.softmax(model(clip)),
}


def compare(path: pathlib.Path) -> tuple[dict, bool]:
    """Runs one case; returns its row, and whether it is within the tolerance.

    `relative_error` is `max|y - golden| / max|golden|`, or of training steps the largest
    of their errors.
    """
    case = json.loads(path.read_text())
    with path.with_suffix(".npz").open("rb") as file, np.load(file) as arrays:
        golden = dict(arrays)
    of_steps = "training" in case
    row = _of_steps(case, golden) if of_steps else _of_output(case, golden)
    model = nnx.eval_shape(lambda: create(**case["create"]))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    row = {"case": case["name"], **row, "parameters": sum(x.size for x in leaves)}
    tolerance = STEP_TOLERANCE if of_steps else TOLERANCE
    # A NaN is an error too.
    right = row["relative_error"] <= tolerance
    if of_steps:
        right = right and max(row["losses"][:CHECKED_LOSSES]) <= LOSS_TOLERANCE
    return row, right


def _of_steps(case: dict, golden: dict) -> dict:
    errors = compare_steps(case, golden)
    return {"relative_error": max(errors[kind] for kind in KINDS), **errors}


def _of_output(case: dict, golden: dict) -> dict:
    output = next(name for name in OUTPUTS if name in golden)
    golden = golden[output]
    model = nnx.eval_shape(lambda: create(**case["create"]))  # load_torch fills it
    load_torch(model, made_up_weights(case["state_dict"]))
    # Accelerators multiply float32 in fewer bits unless told otherwise.
    with jax.default_matmul_precision("highest"):
        ours = np.asarray(jax.jit(OUTPUTS[output])(model, made_up_clip(case)))
    error = np.abs(ours - golden).max() / np.abs(golden).max()
    return {"relative_error": float(error)}


def main(options: argparse.Namespace) -> int:
    status = 0
    for path in options.cases:
        try:
            row, right = compare(path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            print(f"parity: {path}: {error}", file=sys.stderr)
            status = 1
            continue
        print(json.dumps(row), flush=True)
        if not right:
            status = 1
    return status
