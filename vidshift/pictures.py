"""Draws what a trained network has learned about time.

    python -m vidshift.pictures --workdir=runs/mine
    python -m vidshift.pictures --workdir=runs/mine --split=test --clips=256

RubiksNet with attention: which layers spend the budget of shifts, and on which distances.
RubiksNet with learned shifts: how far they go, in space and time. GSM and GSF: histograms
of the gates, over clips of a split. Beside each PNG its numbers are written as JSON; the
last line printed is JSON, too, and names the files.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys

import grain
import jax.numpy as jnp
from flax import nnx

from vidshift import runs
from vidshift.data.datasets import open_split
from vidshift.data.loader import eval_batches
from vidshift.data.on_device import normalise
from vidshift.data.split import Split
from vidshift.data.view import View
from vidshift.evaluation import draw_attention, draw_gates, draw_shifts
from vidshift.nets.names import Network
from vidshift.nets.weights import split as split_model
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.rubiks import Shift3D
from vidshift.training import checkpoints

BATCH_CLIPS = 8


def pictures(options: argparse.Namespace) -> dict:
    """Draws every picture that there is of a run's network; says what was written.

    Raises:
      ValueError: there is no checkpoint, no picture of its network, or no such clips.
      OSError: a file cannot be written.
    """
    if options.clips < 1:
        raise ValueError(f"--clips must be at least 1, got {options.clips}")
    checkpoint = checkpoints.find(options.workdir, options.checkpoint)
    description = checkpoints.read_description(checkpoint)
    network = name_of(description["model"])
    model = runs.load(checkpoint, soft=True)
    attention = layers_of(model, (AttentionShift, WholeShift))
    shifts = layers_of(model, Shift3D)
    gates = layers_of(model, GateShiftFuse)
    learned = any(layer.shift is not None for _, layer in shifts)
    gated = any(layer.gate is not None for _, layer in gates)
    if not (attention or learned or gated):
        if shifts or gates:
            kind = "shifts" if shifts else "gates"
            raise ValueError(f"the {kind} of {network} are fixed: it has learned none")
        raise ValueError(
            f"there is no picture of {network}; there are of rubiksnet_* (its attention, "
            "its learned shifts) and of gsm and gsf (their gates)"
        )

    out = pathlib.Path(options.out or checkpoint.parents[1] / "pictures")
    out.mkdir(parents=True, exist_ok=True)
    about = {"network": network, "checkpoint": str(checkpoint)}
    files = []

    def write(stem: str, draw, figures: dict) -> None:
        png, numbers = (
            out / f"{stem}-step{checkpoint.name}.{e}" for e in ("png", "json")
        )
        draw(png, network, figures)
        numbers.write_text(json.dumps(about | figures) + "\n")
        files.extend((str(png), str(numbers)))

    if attention:
        optim = description["config"].get("optim", {})
        budget = optim.get("attention", {}).get("budget")
        figures = draw_attention.shares_by_layer(attention, budget)
        write("attention", draw_attention.draw, figures)
    if learned:
        write("shifts", draw_shifts.draw, draw_shifts.shifts_by_layer(shifts))
    if gated:
        figures = {"split": options.split}
        figures |= gate_figures(model, description, options)
        write(f"gates-{options.split}", draw_gates.draw, figures)
    return about | {"files": files}


def name_of(model: dict) -> str:
    """The network as the other commands name it, from the arguments of `create`."""
    usual = ("backbone", "temporal", "num_classes", "num_frames", "dtype", "dropout")
    options = {k: v for k, v in model.items() if k not in (*usual, "in_channels")}
    return Network(model["backbone"], model["temporal"], options).name


def layers_of(model: nnx.Module, kind) -> list[tuple[str, nnx.Module]]:
    """The layers of a kind by name, from the input on."""
    found = [(p, m) for p, m in nnx.iter_modules(model) if isinstance(m, kind)]
    found.sort(key=lambda item: item[0])
    return [(".".join(map(str, path)), layer) for path, layer in found]


def gate_figures(model: nnx.Module, description: dict, options) -> dict:
    """The gates over clips of the run's data; says what each layer's come to.

    Raises:
      ValueError: the data is not there, or no video of it can be decoded.
    """
    stored, seen = description["config"]["data"], description["input"]
    data_dir = options.data_dir or stored["dir"]
    if not pathlib.Path(data_dir).is_dir():
        raise ValueError(f"there is no folder {data_dir}: give --data_dir")
    part = open_split(
        stored["name"], options.split, data_dir=data_dir, options=stored["options"]
    )
    names = [name for name, _ in layers_of(model, GateShiftFuse)]
    skeleton, params, stats = split_model(model)
    dtype = jnp.dtype(description["model"]["dtype"])
    as_seen = functools.partial(
        normalise, mean=seen["mean"], std=seen["std"], dtype=dtype
    )
    with eval_batches(
        evenly(part, options.clips),
        View(seen["num_frames"], seen["resize"], seen["crop"]),
        batch_size=BATCH_CLIPS,
        workers=stored["workers"],
    ) as batches:
        step = draw_gates.make_gates_step(skeleton, as_seen, names)
        figures = draw_gates.gates_by_layer(step, params, stats, batches, names)
    for name, reason in batches.failures:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    for layer in figures["layers"]:
        first, second = layer["mean_absolute"]
        print(
            f"mean |gate| {first:.3f}, {second:.3f}  {layer['name']}", file=sys.stderr
        )
    return figures


def evenly(part: Split, clips: int) -> Split:
    """So many records of a split, from all over it: its classes may lie in turn."""
    every = max(len(part.source) // clips, 1)
    rows = grain.MapDataset.source(part.source)[::every][:clips]
    return dataclasses.replace(part, source=rows)


def main(argv: list[str] | None = None) -> int:
    try:
        print(json.dumps(pictures(_parser().parse_args(argv))))
    except (ValueError, OSError) as error:
        print(f"pictures: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vidshift.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--workdir", required=True, metavar="RUN", help="a run, or one checkpoint")
    add("--checkpoint", default="best", metavar="best|last", help="of the run; best")
    add("--out", metavar="DIR", help="folder of the files; pictures/ of the run")
    add("--data_dir", metavar="DIR", help="where the dataset lies, if moved")
    add("--split", default="validation", help="whose clips gates are of; validation")
    add("--clips", type=int, default=64, metavar="N", help="of that split; 64")
    return parser


if __name__ == "__main__":
    sys.exit(main())
