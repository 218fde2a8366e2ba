"""Pictures of what a network has learned about time: `vidshift pictures`."""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping

from flax import nnx

from vidshift.command_line.errors import check_out
from vidshift.command_line.progress import working
from vidshift.data.loading.loader import eval_batches
from vidshift.devices.compilation_cache import keep_programs
from vidshift.layers.named import layers_of
from vidshift.nets.weights import split as split_model
from vidshift.report import (
    draw_attention,
    draw_backwards,
    draw_gates,
    draw_shifts,
    draw_shifts_3d,
)
from vidshift.run import Run
from vidshift.shifts.attention import AttentionShift, WholeShift
from vidshift.shifts.gate import GateShiftFuse
from vidshift.shifts.rubiks import Shift3D

# Options of a network that its pictures name.
SHOWN = ("causal", "variant", "space", "time")
SHOWN += ("ratio", "place", "modules", "gate", "fusion")


def main(options: argparse.Namespace) -> int:
    print(json.dumps(pictures(options)))
    return 0


def pictures(options: argparse.Namespace) -> dict[str, str]:
    """Draws all there is to draw of a run; name of each picture -> its file.

    Raises:
      CheckpointError: it is no run.
      ValueError: its network has nothing to draw, or the clips cannot be read.
    """
    keep_programs()
    runs = [Run.open(path, options.checkpoint) for path in options.run]
    if options.video is not None:
        if options.turn:
            raise ValueError(
                "--turn is of learned shifts, --video of answers; give one"
            )
        return {"backwards": _backwards(runs, options)}
    if len(runs) > 1:
        raise ValueError("several --run are for --video; give one")
    (run,) = runs
    model = run.network(soft=True)
    name = _named(run.description.model)
    drawings = {}
    if layers := layers_of(model, (AttentionShift, WholeShift)):
        budget = run.description.config.optim.attention.budget
        figures = draw_attention.shares_by_layer(layers, budget)
        print("\n".join(draw_attention.lines(figures)), file=sys.stderr)
        drawings["attention"] = draw_attention.draw, figures
    layers = layers_of(model, Shift3D)
    if any(layer.shift is not None for _, layer in layers):
        figures = draw_shifts.shifts_by_layer(layers)
        drawings["shifts"] = draw_shifts.draw, figures
        if "t" in figures["layers"][0]:
            views = draw_shifts_3d.views_of(figures)
            drawings["shifts-3d"] = draw_shifts_3d.draw, views
    layers = layers_of(model, GateShiftFuse)
    if gates := [name for name, layer in layers if layer.gate is not None]:
        drawings["gates"] = draw_gates.draw, _gates(model, gates, run, options)
    if not drawings:
        raise ValueError(
            f"{name} has nothing to draw: a RubiksNet has shifts, GSM and GSF have gates, "
            "where they are learned"
        )
    if options.turn and "shifts-3d" not in drawings:
        raise ValueError(
            f"{name} has nothing to turn: it learns no shift in three axes"
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
    if options.turn:
        path = pathlib.Path(files["shifts-3d"]).with_suffix(".gif")
        with working(f"drawing {path}"):
            draw_shifts_3d.turn(path, f"{name}, step {run.step}", views)
        files["turn"] = str(path)
    return files


def _backwards(runs: list[Run], options: argparse.Namespace) -> str:
    video = pathlib.Path(options.video)
    default = runs[0].folder / "pictures" / f"{video.stem}-step{runs[0].step}.gif"
    path = pathlib.Path(options.out or default)
    if path.suffix != ".gif":
        raise ValueError(f"--out={path} must end in .gif with --video")
    check_out("--out", path, folder=False)
    figures, frames = draw_backwards.answers(runs, options.video, top=options.top)
    first, *others = figures["networks"]
    for network in others:
        if network["frames"] != first["frames"]:
            what = f"{network['label']} sees other frames than are drawn"
            print(f"{what}: {network['frames']}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(figures) + "\n")
    draw_backwards.draw(path, figures, frames)
    return str(path)


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
