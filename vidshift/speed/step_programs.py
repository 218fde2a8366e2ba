"""Programs without arguments that `vidshift.speed` times, on random weights and clips."""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.config import Config
from vidshift.data.sources.split import Split
from vidshift.nets.drawn import random_network
from vidshift.nets.weights import Arrays, split
from vidshift.training.experiment import Experiment
from vidshift.training.state import TrainState

STEPS = 100_000  # of the schedule: so long that the learning rate hardly moves


def compiled(
    model: nnx.Module, measure: str, clips: jax.Array
) -> tuple[Callable, dict]:
    """Compiles a program and runs it, on a device that holds all it needs.

    Args:
      model: in evaluation mode, of shapes alone (`nnx.eval_shape`).
      measure: "latency" and "throughput" are the forward pass, waited for or not;
        "train" is the train step under the defaults of `OptimConfig`.
      clips: normalised, `[B, T, H, W, 3]`.

    Returns:
      The program, without arguments, and `compile_seconds` and `program_bytes`
      (arguments, results and working memory).
    """
    skeleton, params, stats = split(random_network(model))
    if measure == "train":
        function, arguments = _train_step(model, params, stats, clips)
    else:
        # The weights are arguments: constants would be folded into the program.
        function = jax.jit(lambda params, stats, x: skeleton.merge(params, stats)(x))
        arguments = params, stats, clips
    start = time.perf_counter()
    program = function.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    size_bytes = memory.argument_size_in_bytes + memory.output_size_in_bytes
    size_bytes += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    if measure == "train":
        call = TrainLoop(program, *arguments)
    elif measure == "latency":
        call = lambda: jax.block_until_ready(program(*arguments))
    else:
        call = functools.partial(program, *arguments)
    for _ in range(2):  # what happens only once has happened then
        jax.block_until_ready(call())
    return call, {"compile_seconds": compile_seconds, "program_bytes": size_bytes}


class TrainLoop:
    """Calls a step again and again; each state is given up for the next one."""

    def __init__(self, step: Callable, state: TrainState, batch: dict):
        self.step, self.state, self.batch = step, state, batch

    def __call__(self) -> dict:
        self.state, metrics = self.step(self.state, self.batch)
        return metrics


def _train_step(model: nnx.Module, params: Arrays, stats: Arrays, clips: jax.Array):
    rows, classes = clips.shape[0], model.num_classes
    experiment = Experiment.of_network(
        Config(batch_size=rows),
        Split(source=[], classes=("",) * classes),
        model,
        lambda batch: (batch["video"], batch["label"]),
        steps=STEPS,
        steps_per_epoch=STEPS,
    )
    batch = {
        "video": clips,
        "label": jax.random.randint(jax.random.key(1), (rows,), 0, classes),
        "fingerprint": jnp.zeros((rows, 2), jnp.uint32),
        "stop": jnp.zeros(rows, bool),
    }
    return experiment.make_step(), (experiment.new_state(params, stats), batch)
