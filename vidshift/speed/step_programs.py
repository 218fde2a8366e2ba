"""Programs without arguments that `vidshift.speed` and `vidshift.measure` time.

Weights and clips are random. Nothing here needs a data set, a decoder or a checkpoint.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.config import Config
from vidshift.kernels import Frames
from vidshift.kernels.analysis.flops import flops
from vidshift.layers.folded import folded
from vidshift.nets import train_view
from vidshift.nets.drawn import random_network
from vidshift.nets.weights import Arrays, split
from vidshift.training import attention, optimizer
from vidshift.training.state import TrainState, make_train_step, new_state

STEPS = 100_000  # of the schedule: so long that the learning rate hardly moves


class Program(NamedTuple):
    """A program that is lowered and not compiled yet."""

    measure: str
    lowered: jax.stages.Lowered
    arguments: tuple
    flops: int  # of its products and convolutions

    def compile(self) -> tuple[Callable, dict]:
        """Compiles it; several threads may compile at once.

        Returns:
          A function without arguments, and `compile_seconds`, `program_bytes`
          (arguments, results and working memory) and `flops`.
        """
        start = time.perf_counter()
        program = self.lowered.compile()
        compile_seconds = time.perf_counter() - start
        memory = program.memory_analysis()
        size_bytes = memory.argument_size_in_bytes + memory.output_size_in_bytes
        size_bytes += memory.temp_size_in_bytes - memory.alias_size_in_bytes
        if self.measure == "train":
            call = TrainLoop(program, *self.arguments)
        elif self.measure == "latency":
            call = lambda: jax.block_until_ready(program(*self.arguments))
        else:
            call = functools.partial(program, *self.arguments)
        facts = {"compile_seconds": compile_seconds, "program_bytes": size_bytes}
        return call, facts | {"flops": self.flops}


def lower(model: nnx.Module, measure: str, clips: jax.Array | Frames) -> Program:
    """Traces and lowers a program.

    Args:
      model: in evaluation mode, of shapes alone (`nnx.eval_shape`).
      measure: "latency" and "throughput" are the forward pass of the network with its
        batch norms folded once (`vidshift.folded`), waited for or not;
        "train" is the train step under the defaults of `OptimConfig`.
      clips: normalised, `[B, T, H, W, 3]`; of a network's block, the features it takes.
    """
    network = random_network(model)
    if measure != "train":
        network = folded(network)
    skeleton, params, stats = split(network)
    if measure == "train":
        function, arguments = _train_step(model, params, stats, clips)
    else:
        # The weights are arguments: constants would be folded into the program.
        function = jax.jit(lambda params, stats, x: skeleton.merge(params, stats)(x))
        arguments = params, stats, clips
    traced = function.trace(*arguments)
    return Program(measure, traced.lower(), arguments, flops(traced.jaxpr))


def compiled(
    model: nnx.Module, measure: str, clips: jax.Array
) -> tuple[Callable, dict]:
    """Compiles a program and runs it, on a device that holds all it needs.

    Returns:
      The function and the facts of `Program.compile`.
    """
    call, facts = lower(model, measure, clips).compile()
    run_first(call)
    return call, facts


def run_first(call: Callable) -> None:
    """Runs a program twice: what happens only once has happened then."""
    for _ in range(2):
        jax.block_until_ready(call())


class TrainLoop:
    """Calls a step again and again; each state is given up for the next one."""

    def __init__(self, step: Callable, state: TrainState, batch: dict):
        self.step, self.state, self.batch = step, state, batch

    def __call__(self) -> dict:
        self.state, metrics = self.step(self.state, self.batch)
        return metrics


def _train_step(model: nnx.Module, params: Arrays, stats: Arrays, clips: jax.Array):
    """Returns what an experiment of the default config trains with, and its arguments."""
    rows, classes = clips.shape[0], model.num_classes
    config = Config(batch_size=rows)
    length = {"steps": STEPS, "steps_per_epoch": STEPS}
    lr = optimizer.schedule(config.optim, batch_size=rows, **length)
    tx = optimizer.make_optimizer(
        config.optim, optimizer.parameter_kinds(model), lr, steps_per_epoch=STEPS
    )
    skeleton, _, _ = split(train_view(model))
    step = make_train_step(
        skeleton,
        tx,
        lr,
        lambda batch: (batch["video"], batch["label"]),
        config.optim,
        seed=config.seed,
        temperature=attention.temperature(config.optim.attention, **length),
    )
    batch = {
        "video": clips,
        "label": jax.random.randint(jax.random.key(1), (rows,), 0, classes),
        "fingerprint": jnp.zeros((rows, 2), jnp.uint32),
        "stop": jnp.zeros(rows, bool),
    }
    return step, (new_state(params, stats, tx, ema=config.optim.ema is not None), batch)
