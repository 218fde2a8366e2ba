"""Writes a network as a file and compares it: `vidshift export`."""

import argparse
import dataclasses
import importlib
import importlib.metadata
import json
import os
import pathlib
import sys

import jax.numpy as jnp
from jax import export as jax_export

from vidshift.command_line import errors, extras
from vidshift.command_line.progress import working
from vidshift.devices.compilation_cache import keep_programs
from vidshift.export import check, program, replay, source

# Of a format, the packages that it needs besides requirements.txt, by module.
NEEDS = {
    "stablehlo": (),
    "onnx": ("onnx", "onnxruntime"),
    "tflite": ("litert_converter", "ai_edge_litert"),
}
CHECKED_FRAMES = 5  # of each stream


class MismatchError(Exception):
    """The exported file computes something else."""


def module_of(form: str):
    """Imports the module that writes a format.

    Raises:
      ValueError: what it needs is not installed.
    """
    missing = []
    for name in NEEDS[form]:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise ValueError(
            f"{form} needs {' and '.join(missing)}: {extras.install(form)}"
        )
    return importlib.import_module(f"vidshift.export.to_{form}")


def export(options: argparse.Namespace) -> dict:
    """Writes the file that the command's options ask for; says what is in it.

    Raises:
      ValueError: it cannot be exported.
      MismatchError: it was, and computes something else.
    """
    writer = module_of(options.format)
    if options.out:
        errors.check_out("--out", options.out, folder=False)
    keep_programs()
    with working("building the network"):
        if options.run:
            network = source.of_run(options.run, options.checkpoint)
        else:
            network = source.of_name(
                options.network,
                num_classes=options.num_classes,
                num_frames=options.num_frames,
            )
    batch = options.batch or ("symbolic" if writer.SYMBOLIC else 1)
    if batch == "symbolic" and not writer.SYMBOLIC:
        raise ValueError(f"{options.format} has a fixed batch: --batch N")
    size = batch
    if batch == "symbolic":
        (size,) = jax_export.symbolic_shape("B")
    shown = network.description.input
    prepare, dtype, channels = network.prepare(), jnp.uint8, network.channels
    if not options.normalise:
        prepare, dtype = lambda x: x, jnp.float32
        channels = network.model.in_channels
    picture = (*(options.size or (shown.crop, shown.crop)), channels)
    clip = (shown.num_frames, *picture) if options.kind == "clip" else picture
    made = program.make_program(
        options.kind, network.model, prepare, (size, *clip), dtype
    )

    out = options.out or default_out(options)
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with working(f"writing {out}"):
            facts = writer.write(made, partial)
        if options.kind == "stream" and facts["max_rank"] > 4:
            raise ValueError(
                f"a stream's arrays have at most 4 dimensions, and one has "
                f"{facts['max_rank']}"
            )
        description = describe(options, network, made, prepare) | facts
        description["sha256"] = replay.sha256(partial)
        beside = replay.beside(partial)
        beside.write_text(json.dumps(description, indent=1))
        length = shown.num_frames if options.kind == "clip" else CHECKED_FRAMES
        many = [
            check.random_clips((n, length, *picture), dtype)
            for n in ((1, 3) if batch == "symbolic" else (batch,))
        ]
        original = program.offline(options.kind, network.model, prepare)
        with working("comparing the file's logits with the network's"):
            difference = check.largest_difference(partial, original, many)
        if not difference <= options.tolerance:  # a NaN is a mismatch too
            raise MismatchError(
                f"what was exported differs by {difference:.3g} of the largest logit, "
                f"more than --tolerance={options.tolerance:g}"
            )
        description["largest_difference"] = difference
        beside.write_text(json.dumps(description, indent=1) + "\n")
        os.replace(partial, out)
        os.replace(beside, replay.beside(out))
    finally:
        for unfinished in (partial, replay.beside(partial)):
            unfinished.unlink(missing_ok=True)
    return {
        "file": str(out),
        "bytes": out.stat().st_size,
        "network": network.name,
        "kind": options.kind,
        "batch": batch,
        "largest_difference": difference,
        **facts,
    }


def default_out(options) -> pathlib.Path:
    name = f"{options.kind}.{options.format}"
    if options.run:
        return pathlib.Path(options.run) / "export" / name
    return pathlib.Path(
        options.network.partition(":")[0].replace("/", "_") + "_" + name
    )


def describe(options, network, made: program.PortableProgram, prepare) -> dict:
    """Returns the JSON beside the file; sizes that are free are "B"."""

    def listed(arrays):
        return [
            {
                "name": name,
                "shape": [n if isinstance(n, int) else str(n) for n in like.shape],
                "dtype": str(like.dtype),
            }
            for name, like in arrays
        ]

    shown = dataclasses.asdict(network.description.input)
    return {
        "format": options.format,
        "kind": options.kind,
        "network": network.name,
        "inputs": listed(made.inputs),
        "outputs": listed(made.outputs),
        "classes": network.description.classes,
        **network.description.task.to_json(),
        "normalisation": {
            "inside": options.normalise,
            "formula": "(pixel / 255 - mean) / std",
            "mean": shown.pop("mean"),
            "std": shown.pop("std"),
        },
        "input": shown,
        "versions": {
            name: importlib.metadata.version(name.replace("_", "-"))
            for name in ("jax", *NEEDS[options.format])
        },
    }


def main(options: argparse.Namespace) -> int:
    try:
        print(json.dumps(export(options)))
    except MismatchError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0
