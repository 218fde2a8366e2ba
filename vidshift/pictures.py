"""`python -m vidshift.pictures --workdir=RUN`: what a network has learned about time.

Draws into RUN/pictures, with the numbers of each picture as JSON beside it:

- of a RubiksNet with attention which shifts its layers chose, and the budget (Figure 5 of
  Fan et al., ECCV 2020);
- of any RubiksNet how far its learned shifts go in space and time, by depth (Figure 6);
- of GSM and GSF histograms of the gates of each layer, over clips of a split (Figure 8 of
  Sudhakaran et al., TPAMI 2023).

Prints one JSON line with the files' names.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import dataclasses
import functools
import itertools
import json
import pathlib
import sys

from flax import nnx

from vidshift import runs
from vidshift.command_line import errors
from vidshift.command_line.arguments import MAP_CLASSES, count
from vidshift.data.device.on_device import normalise
from vidshift.data.loading.loader import eval_batches
from vidshift.layers.named import layers_of
from vidshift.nets.weights import split as split_model
from vidshift.report import draw_attention, draw_gates, draw_shifts
from vidshift.run_data import open_run_split
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.rubiks import Shift3D
from vidshift.training import checkpoints


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        print(json.dumps(pictures(options)))
    except (ValueError, OSError) as error:
        print(f"pictures: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def pictures(options: argparse.Namespace) -> dict[str, str]:
    """Draws all there is to draw of a run; name of each picture -> its file.

    Raises:
      CheckpointError: it is no run.
      ValueError: its network has nothing to draw, or the clips cannot be read.
    """
    checkpoint = checkpoints.find(options.workdir, options.checkpoint)
    description = checkpoints.read_description(checkpoint)
    model = runs.load(checkpoint, soft=True)
    name = _named(description["model"])
    found = {}
    if layers := layers_of(model, (AttentionShift, WholeShift)):
        # Older and converted checkpoints may know of no budget.
        trained = description["config"].get("optim", {}).get("attention", {})
        budget = trained.get("budget")
        figures = draw_attention.shares_by_layer(layers, budget)
        found["attention"] = draw_attention.draw, figures
    layers = layers_of(model, Shift3D)
    if any(layer.shift is not None for _, layer in layers):
        found["shifts"] = draw_shifts.draw, draw_shifts.shifts_by_layer(layers)
    gates = [
        n for n, layer in layers_of(model, GateShiftFuse) if layer.gate is not None
    ]
    if gates:
        found["gates"] = (
            draw_gates.draw,
            _gates(model, gates, checkpoint, description, options),
        )
    if not found:
        raise ValueError(
            f"{name} has nothing to draw: a RubiksNet has shifts, GSM and GSF have gates, "
            "where they are learned"
        )
    out = pathlib.Path(options.out or checkpoint.parents[1] / "pictures")
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for kind, (draw, figures) in found.items():
        path = out / f"{kind}-step{checkpoint.name}.png"
        about = {"network": name, "checkpoint": str(checkpoint)}
        path.with_suffix(".json").write_text(json.dumps(about | figures) + "\n")
        draw(path, f"{name}, step {checkpoint.name}", figures)
        files[kind] = str(path)
    return files


def _gates(
    model: nnx.Module,
    names: list[str],
    checkpoint: pathlib.Path,
    description: dict,
    options: argparse.Namespace,
) -> dict:
    stored = description["config"]["data"]
    part = open_run_split(
        checkpoint,
        description,
        options.split,
        data_dir=options.data_dir,
        map_classes=options.map_classes,
    )
    clips = min(options.clips, len(part.source))
    part = dataclasses.replace(part, source=Some(part.source, clips))
    skeleton, params, stats = split_model(model)
    as_seen = functools.partial(normalise, **runs.normalisation(description))
    step = draw_gates.make_gates_step(skeleton, as_seen, names)
    with eval_batches(
        part,
        runs.eval_view(description["input"]),
        batch_size=min(16, clips),
        workers=stored["workers"],
    ) as batches:
        figures = draw_gates.gates_by_layer(step, params, stats, batches, names)
    for name, reason in batches.failures:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    for layer in figures["layers"]:
        halves = ", ".join(f"{mean:.3f}" for mean in layer["mean_absolute"])
        print(f"mean |gate| of {layer['name']}: {halves}", file=sys.stderr)
    causal = description["model"].get("causal", False)
    return {"split": options.split, "causal": causal} | figures


class Some:
    """So many records of a source, evenly spread over it."""

    def __init__(self, source, count: int):
        self.source, self.count = source, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int):
        return self.source[row * len(self.source) // self.count]


def _named(model: dict) -> str:
    own = (
        "causal",
        "variant",
        "space",
        "time",
        "ratio",
        "place",
        "modules",
        "gate",
        "fusion",
    )
    given = [f"{key}={model[key]}" for key in own if key in model]
    name = f"{model['backbone']}/{model['temporal']}"
    return ", ".join(itertools.chain([name], given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vidshift.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--workdir", required=True, metavar="RUN", help="a run, or one checkpoint")
    add("--checkpoint", choices=("best", "last"), default="best")
    add("--out", metavar="DIR", help="default: pictures/ of the run")
    data_dir = "--data_dir", "--data-dir"
    add(*data_dir, metavar="DIR", help="where the dataset lies, if moved")
    add("--map-classes", action="store_true", help=MAP_CLASSES)
    add("--split", default="validation", help="whose clips gates are shown")
    add("--clips", type=count, default=64, help="how many of them; 64")
    return parser


if __name__ == "__main__":
    errors.run(main)
