"""A config's train and eval step, compiled for chips that are not here.

Nothing is computed and no array is made: parameters, state and batches are shapes.
"""

import contextlib
import re
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidshift.config import Config
from vidshift.data.annotations import DATASETS
from vidshift.data.sources import arrow_of_time
from vidshift.data.sources.split import Split
from vidshift.data.views import eval_views
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.kernels import triton_gpu
from vidshift.kernels.analysis import chips, hlo
from vidshift.kernels.analysis.flops import flops
from vidshift.nets.zoo import pick
from vidshift.tasks import SINGLE_LABEL, Task
from vidshift.training.experiment import Experiment

# Batches that training has on the device besides the one in use: those of two more
# steps that it has begun, and two that lie ready.
BATCHES_IN_FLIGHT = 4
# The data set has the true number; here it only sets numbers of the schedule.
STEPS_PER_EPOCH = 1000


class ChipProgram(NamedTuple):
    step: Any  # jitted
    arguments: tuple  # abstract, with shardings
    dtype: str  # compute type
    clips: int  # in a call, over all chips
    kept_bytes: int  # that a run keeps on each chip meanwhile, besides the arguments


def train_program(config: Config, network: dict, mesh: Mesh) -> ChipProgram:
    """Builds the step that `vidshift train` runs.

    Args:
      config: of the experiment.
      network: arguments of `vidshift.create`, which may be of another network.
      mesh: of the chips, with the axis `data`.
    """
    experiment = _experiment(config, network)
    rows, side = config.batch_size, config.data.crop
    batch = {
        "video": ((rows, config.data.num_frames, side, side, 3), jnp.uint8),
        "label": _labels(experiment, rows),
        "flip": ((rows,), jnp.bool),
        "fingerprint": ((rows, 2), jnp.uint32),
        "stop": ((rows,), jnp.bool),
    }
    drawn = config.data.augment.draw(np.random.default_rng(0))
    batch |= {name: ((rows, *a.shape), a.dtype) for name, a in drawn.items()}
    batch = _sharded(batch, mesh)
    kept_bytes = BATCHES_IN_FLIGHT * _size_bytes(batch) // mesh.size
    arguments = _replicated(experiment.abstract_state(), mesh), batch
    return ChipProgram(
        experiment.make_step(), arguments, network["dtype"], rows, kept_bytes
    )


def eval_program(config: Config, network: dict, mesh: Mesh) -> ChipProgram:
    """Builds the step of validation during a training; arguments as above."""
    experiment = _experiment(config, network)
    protocol = pick("protocol", config.protocol, PROTOCOLS)
    step, as_evaluated = experiment.eval_step(mesh, protocol)
    state = experiment.abstract_state()
    params, stats = jax.eval_shape(as_evaluated, state.params, state.stats)
    rows, view = config.eval_batch_size, protocol.view(config.data.view())
    tall, widths = eval_views.size(
        resize=view.resize, crop=view.crop, crops=protocol.crops
    )
    places = (rows, max(1, len(eval_views.PLACES[protocol.crops])), 2)
    video = (rows, protocol.clips, view.num_frames, tall, widths[-1], 3)
    batch = {
        "video": (video, jnp.uint8),
        "places": (places, jnp.int32),
        "swapped": ((rows,), jnp.bool),
        "label": _labels(experiment, rows),
        "index": ((rows,), jnp.int32),
    }
    weights = _replicated((params, stats), mesh)
    arguments = *weights, _sharded(batch, mesh)
    kept_bytes = _size_bytes(state) - _size_bytes(weights)
    return ChipProgram(
        step, arguments, network["dtype"], rows * protocol.views, kept_bytes
    )


def _experiment(config: Config, network: dict) -> Experiment:
    """Builds the experiment from shapes, as if the data set were here."""
    classes = network["num_classes"]
    data = Split(
        source=[],
        classes=("",) * classes,
        # Whatever a mirror image does to the labels, the program is the same.
        flip_labels=tuple(range(classes)),
        task=_task(config),
    )
    return Experiment.of(
        config,
        data,
        steps=max(1, round(config.epochs * STEPS_PER_EPOCH)),
        steps_per_epoch=STEPS_PER_EPOCH,
        model=network,
    )


def _task(config: Config) -> Task:
    name, options = config.data.name, config.data.options
    if name == arrow_of_time.NAME and options is not None:
        return arrow_of_time.label_of(options).task
    return DATASETS[name].task if name in DATASETS else SINGLE_LABEL


def _labels(experiment: Experiment, rows: int) -> tuple:
    """Returns the shape and type of a batch's labels."""
    data = experiment.data
    shape, dtype = data.task.target_shape(len(data.classes))
    return (rows, *shape), dtype


PROGRAMS = {"train": train_program, "eval": eval_program}


def measure(
    program: ChipProgram, target: str, mesh: Mesh, *, by_layer: bool = False
) -> dict:
    """Compiles a step and returns what it takes of one chip.

    Args:
      by_layer: whether `layers` is in the result.

    Returns:
      `fits`, `total_bytes` (None if the compiler gave up and did not say),
      `capacity_bytes`, `error`, `flops` of one chip, `compile_seconds`; if it was
      compiled also `argument_bytes`, `output_bytes` (those that do not take an
      argument's place), `temporary_bytes`, `kept_bytes`, `moved_bytes`, `kernels`,
      `collectives` {kind: {count, size_bytes}}, `collective_seconds`, `memory_seconds`,
      `compute_seconds`, `step_seconds`, `clips_per_second` of all chips, `notes`, and
      `layers`, the rows of `hlo.by_layer`.
    """
    chip = chips.CHIPS[target]
    start = time.perf_counter()
    compiling_for = contextlib.nullcontext()
    if chip.compute_capability is not None:
        # Triton asks the GPU at hand which one to compile for; here is none.
        compiling_for = triton_gpu.compiling_for(chip.compute_capability)
    with compiling_for:
        traced = program.step.trace(*program.arguments)
        row = {
            "fits": False,
            "total_bytes": None,
            "capacity_bytes": chip.memory_bytes,
            "error": None,
            "flops": flops(traced.jaxpr) / mesh.size,
        }
        try:
            compiled = traced.lower(lowering_platforms=(chip.platform,)).compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            row |= {"error": str(error).splitlines()[0], "total_bytes": _needed(error)}
            return row | {"compile_seconds": time.perf_counter() - start}
    row["compile_seconds"] = time.perf_counter() - start
    memory = compiled.memory_analysis()
    row |= {
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "program_bytes": memory.generated_code_size_in_bytes,
        "kept_bytes": program.kept_bytes,
    }
    parts = ("argument", "output", "temporary", "program", "kept")
    row["total_bytes"] = sum(row[f"{part}_bytes"] for part in parts)
    row["fits"] = row["total_bytes"] <= chip.memory_bytes
    text = compiled.as_text()
    moved = hlo.program_bytes(text, kernels=True)
    exchanged = hlo.collectives(text)
    row |= {
        "moved_bytes": moved.size_bytes,
        "kernels": moved.kernels,
        "notes": sorted(moved.notes),
        "collectives": {kind: c._asdict() for kind, c in exchanged.items()},
        "collective_seconds": _on_links(exchanged, mesh.size)
        / chip.link_bytes_per_second,
        "memory_seconds": moved.size_bytes / chip.peak_bytes_per_second,
        "compute_seconds": row["flops"] / chip.peak_flops[program.dtype],
    }
    if chip.clock_hz:
        row["modelled_cycles"] = hlo.modelled_cycles(
            text, bytes_per_cycle=chip.peak_bytes_per_second / chip.clock_hz
        )
    if by_layer:
        row["layers"] = [layer._asdict() for layer in hlo.by_layer(text)]
    row["step_seconds"] = max(row["memory_seconds"], row["compute_seconds"])
    row["clips_per_second"] = program.clips / row["step_seconds"]
    return row


def _sharded(arrays: dict, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
        for name, (shape, dtype) in arrays.items()
    }


def _replicated(tree, mesh: Mesh):
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree
    )


def _size_bytes(tree) -> int:
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(tree))


def _needed(error: Exception) -> int | None:
    """Reads how many bytes a program would need from the TPU compiler's error."""
    size = re.search(r"\(([\d.]+)([KMGT])\) exceeds available", str(error))
    return size and int(float(size[1]) * 1024 ** (" KMGT".index(size[2])))


def _on_links(exchanged: dict[str, hlo.Collective], count: int) -> float:
    """Returns the bytes that each chip has to send at least, when all send alike.

    A sum goes around twice, first to be added up, then to be handed out.
    """
    share = (count - 1) / count
    return sum(
        share * (2 if kind == "all-reduce" else 1) * collective.size_bytes
        for kind, collective in exchanged.items()
    )
