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
import json
import pathlib
import sys
from collections.abc import Mapping

from flax import nnx

from vidshift.command_line import errors
from vidshift.command_line.arguments import MAP_CLASSES, count, make_parser
from vidshift.command_line.progress import working
from vidshift.data.loading.loader import eval_batches
from vidshift.devices.compilation_cache import keep_programs
from vidshift.layers.named import layers_of
from vidshift.nets.weights import split as split_model
from vidshift.report import draw_attention, draw_gates, draw_shifts
from vidshift.run import Run
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.rubiks import Shift3D

# Options of a network that its pictures name.
SHOWN = ("causal", "variant", "space", "time")
SHOWN += ("ratio", "place", "modules", "gate", "fusion")


@errors.reported
def main(argv: list[str] | None = None) -> int:
    parser = make_parser("python -m vidshift.pictures", __doc__)
    add = parser.add_argument
    add("--workdir", required=True, metavar="RUN", help="a run, or one checkpoint")
    add("--checkpoint", choices=("best", "last"), default="best")
    add("--out", metavar="DIR", help="default: pictures/ of the run")
    data_dir = "--data_dir", "--data-dir"
    add(*data_dir, metavar="DIR", help="where the dataset lies, if moved")
    add("--map-classes", action="store_true", help=MAP_CLASSES)
    add("--split", default="validation", help="whose clips gates are shown")
    add("--clips", type=count, default=64, help="how many of them; 64")
    print(json.dumps(pictures(parser.parse_args(argv))))
    return 0


def pictures(options: argparse.Namespace) -> dict[str, str]:
    """Draws all there is to draw of a run; name of each picture -> its file.

    Raises:
      CheckpointError: it is no run.
      ValueError: its network has nothing to draw, or the clips cannot be read.
    """
    keep_programs()
    run = Run.open(options.workdir, options.checkpoint)
    model = run.network(soft=True)
    name = _named(run.description.model)
    drawings = {}
    if layers := layers_of(model, (AttentionShift, WholeShift)):
        budget = run.description.config.optim.attention.budget
        figures = draw_attention.shares_by_layer(layers, budget)
        drawings["attention"] = draw_attention.draw, figures
    layers = layers_of(model, Shift3D)
    if any(layer.shift is not None for _, layer in layers):
        drawings["shifts"] = draw_shifts.draw, draw_shifts.shifts_by_layer(layers)
    layers = layers_of(model, GateShiftFuse)
    if gates := [name for name, layer in layers if layer.gate is not None]:
        drawings["gates"] = draw_gates.draw, _gates(model, gates, run, options)
    if not drawings:
        raise ValueError(
            f"{name} has nothing to draw: a RubiksNet has shifts, GSM and GSF have gates, "
            "where they are learned"
        )
    out = pathlib.Path(options.out or run.folder / "pictures")
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for kind, (draw, figures) in drawings.items():
        path = out / f"{kind}-step{run.step}.png"
        about = {"network": name, "checkpoint": str(run.checkpoint)}
        path.with_suffix(".json").write_text(json.dumps(about | figures) + "\n")
        with working(f"drawing {path}"):
            draw(path, f"{name}, step {run.step}", figures)
        files[kind] = str(path)
    return files


def _gates(
    model: nnx.Module, names: list[str], run: Run, options: argparse.Namespace
) -> dict:
    split = run.split(
        options.split, data_dir=options.data_dir, map_classes=options.map_classes
    )
    clips = min(options.clips, len(split.source))
    split = dataclasses.replace(split, source=Some(split.source, clips))
    skeleton, params, stats = split_model(model)
    step = draw_gates.make_gates_step(skeleton, run.normalise, names)
    with (
        eval_batches(
            split,
            run.view,
            batch_size=min(16, clips),
            workers=run.description.config.data.workers,
        ) as batches,
        working(f"computing gates over {clips} clips of {options.split}"),
    ):
        figures = draw_gates.gates_by_layer(step, params, stats, batches, names)
    for name, reason in batches.failures:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    for layer in figures["layers"]:
        halves = ", ".join(f"{mean:.3f}" for mean in layer["mean_absolute"])
        print(f"mean |gate| of {layer['name']}: {halves}", file=sys.stderr)
    causal = run.description.model.get("causal", False)
    return {"split": options.split, "causal": causal} | figures


class Some:
    """Source of some records of another, evenly spread over it."""

    def __init__(self, source, count: int):
        self.source, self.count = source, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int):
        return self.source[row * len(self.source) // self.count]


def _named(model: Mapping) -> str:
    name = f"{model['backbone']}/{model['temporal']}"
    return ", ".join([name, *(f"{k}={model[k]}" for k in SHOWN if k in model)])


if __name__ == "__main__":
    errors.run(main)
