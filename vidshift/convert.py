"""PyTorch's checkpoints turned into vidshift's: `vidshift convert`."""

import argparse
import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from vidshift import checkpoints
from vidshift.class_names import read_class_names
from vidshift.command_line.progress import working
from vidshift.config import Config, DataConfig, ModelConfig
from vidshift.data import DATASETS, Split
from vidshift.description import Description
from vidshift.nets import BACKBONES, create, names
from vidshift.nets.weights import first_kernels, named_arrays, split
from vidshift.nets.zoo import pick
from vidshift.pixels import official_pixels
from vidshift.torch_weights import files, load_torch
from vidshift.torch_weights.load import recognise
from vidshift.torch_weights.rules import Family


class TorchCheckpoint(NamedTuple):
    """Contents of a PyTorch checkpoint, matched to a backbone."""

    arrays: dict[str, np.ndarray]
    family: Family
    # The classifier's names, and its rows.
    head: list[str]
    classes: int | None
    # Ours of the kernels that read a clip's channels, and their number.
    first: list[str]
    in_channels: int
    # What else is in the file.
    rest: list[str]


def open_source(path: pathlib.Path, make: Callable[..., nnx.Module]) -> TorchCheckpoint:
    """Reads a file.

    Args:
      path: PyTorch's or safetensors'.
      make: gives the abstract network for `in_channels` and `num_classes`.

    Raises:
      ValueError: it cannot be read, or is of another network.
      OSError: it cannot be opened.
    """
    file = files.read(path)
    arrays = {name.removeprefix("module."): a for name, a in file.arrays.items()}
    model = make()
    family = recognise(model, set(arrays))
    head = [f"{name}.{leaf}" for name in family.heads for leaf in ("weight", "bias")]
    head = [name for name in head if name in arrays]
    first = first_kernels(lambda channels: make(in_channels=channels))
    there = [family.names(model)(name)[0] for name in first]
    # Kernels there are [out, in, ...]. A missing one is load_torch's to report.
    channels = [arrays[name].shape[1] for name in there if name in arrays]
    return TorchCheckpoint(
        arrays,
        family,
        head,
        len(arrays[head[0]]) if head else None,
        first,
        channels[0] if channels else 3,
        file.rest,
    )


def count_classes(
    source: TorchCheckpoint, options, classes: tuple[str, ...] | None
) -> int:
    """Counts the classes of the file's head, or takes --num-classes with --skip-head.

    Raises:
      ValueError: their number is unknown, or there are two.
    """
    counts = {
        "--num-classes": options.num_classes,
        "--classes": classes and len(classes),
    }
    counts = {option: count for option, count in counts.items() if count}
    hint = ""
    if not options.skip_head:
        if not source.head:
            raise ValueError("the file has no head: --skip-head draws a new one")
        counts = {f"the file's {source.head[0]}": source.classes} | counts
        hint = "; --skip-head leaves the file's head out"
    elif not counts and source.head:
        return source.classes
    if not counts:
        raise ValueError(
            "--skip-head needs --num-classes or --classes: no head is there"
        )
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{of}: {count}" for of, count in counts.items())
        raise ValueError(f"two numbers of classes ({listed}){hint}")
    return next(iter(counts.values()))


def network_of(options: argparse.Namespace) -> names.Network:
    """The network that the command's options name, with the official pooling."""
    given = ",".join(options.option)
    network = names.parse(f"{options.backbone}/{options.temporal}:{given}")
    official = BACKBONES[network.backbone].official_options
    return network._replace(options={**official, **network.options})


def convert(options: argparse.Namespace) -> str:
    """Writes the checkpoint that the command's options ask for; says what is in it.

    Raises:
      ValueError: the file is none that fits, or an option does not.
      OSError: a file cannot be opened.
    """
    if options.data:
        pick("data set", options.data, DATASETS)
    network = network_of(options)
    row = BACKBONES[network.backbone]
    num_frames = options.num_frames or row.num_frames
    make = functools.partial(network.abstract, num_frames=num_frames)
    with working(f"reading {options.file}"):
        source = open_source(options.file, functools.partial(make, num_classes=2))
    classes = options.classes and read_class_names(options.classes)
    num_classes = count_classes(source, options, classes)
    classes = classes or tuple(map(str, range(num_classes)))
    flow = source.in_channels != 3
    bgr = row.bgr and not flow if options.bgr is None else options.bgr
    if bgr and flow:
        raise ValueError(f"--bgr is of 3 channels, the file has {source.in_channels}")

    sizes = {"num_classes": num_classes, "in_channels": source.in_channels}
    model = make(**sizes)
    with working(f"building {network.name}"):
        load_torch(model, source.arrays, head="skip" if options.skip_head else "load")
    _, params, stats = split(model)
    new = sorted(n for n, a in params.items() if isinstance(a, jax.ShapeDtypeStruct))

    @jax.jit  # which leaves out what is not asked for
    def draw():
        sizes_and_options = sizes | {"num_frames": num_frames} | network.options
        drawn = create(network.backbone, network.temporal, **sizes_and_options)
        return {name: a for name, a in named_arrays(drawn).items() if name in new}

    if new:
        with working(f"drawing what the file lacks: {', '.join(new)}"):
            params |= draw()
    if bgr:
        params |= {name: params[name][..., ::-1, :] for name in source.first}

    known = ModelConfig.__dataclass_fields__
    chosen = {name: v for name, v in network.options.items() if name in known}
    pixels = official_pixels(
        network.backbone, in_channels=source.in_channels, bgr=bgr
    )._asdict()
    config = Config(
        model=ModelConfig(network.backbone, network.temporal, **chosen),
        data=DataConfig(options.data, num_frames=num_frames, **pixels),
    )
    description = Description.of(config, Split(source=[], classes=classes))
    model_options = dict(network.options)
    if flow:
        model_options["in_channels"] = source.in_channels
    description = dataclasses.replace(
        description, model=description.model | model_options
    )
    params, stats = (jax.tree.map(np.asarray, part) for part in (params, stats))
    with working(f"writing {options.out}"):
        checkpoints.write_weights(options.out, params, stats, description.to_json())

    counts = [n for n in source.arrays if n.endswith("num_batches_tracked")]
    unused = [f"{len(counts)} counts of batches"] if counts else []
    unused += source.head if options.skip_head else []
    unused += source.rest
    report = (
        f"{options.out}: {network.name} from {source.family.name}'s names, "
        f"{len(params) + len(stats) - len(new)} arrays, "
        f"{sum(p.size for p in params.values()):,} parameters, {num_classes} classes"
    )
    if unused:
        report += f"\nnot used: {', '.join(unused)}"
    if new:
        report += f"\nnew: {', '.join(new)}"
    if bgr:
        report += "\nthe file's network takes BGR, this one RGB"
    return report


def main(options: argparse.Namespace) -> int:
    print(convert(options))
    return 0
