"""Exported form of a network: a function of named arrays, for any number of clips."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.export.portable import portable
from vidshift.layers.folded import folded
from vidshift.stream import network as streams

KINDS = ("clip", "stream")
# What the outputs of a stream's arrays are called, before their own names.
NEXT = "next."
# A file has the weights' usual order, whichever device exports it.
ANYWHERE = "cpu"


class PortableProgram(NamedTuple):
    """`function` takes arrays as `inputs` lists them, and gives a tuple as `outputs` does.

    Both are lists of (name, shape and type); `batch` is the number of clips or streams,
    which may be a symbol of `jax.export`.
    """

    function: Callable
    inputs: list[tuple[str, jax.ShapeDtypeStruct]]
    outputs: list[tuple[str, jax.ShapeDtypeStruct]]
    batch: object

    @property
    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        return [shape for _, shape in self.inputs]


def make_program(
    kind: str,
    model: nnx.Module,
    prepare: Callable[[jax.Array], jax.Array],
    shape: tuple,
    dtype,
) -> PortableProgram:
    """Builds the program of one of `KINDS`.

    Args:
      kind: "clip" takes whole clips to logits; "stream" a frame of each stream, with what
        the network kept of the ones before, to logits and what it keeps now.
      model: in evaluation mode.
      prepare: what is given to what the network takes.
      shape: of what is given, `[B, T, H, W, C]` or `[B, H, W, C]`.
      dtype: of what is given.

    Raises:
      ValueError: the network reads later frames and has no stream.
    """
    given = jax.ShapeDtypeStruct(shape, dtype)
    if kind == "clip":
        graphdef, weights = nnx.split(folded(model, platform=ANYWHERE))
        inputs = [("clips", given)]
        names = ["logits"]

        def function(clips):
            return (nnx.merge(graphdef, weights)(prepare(clips)),)
    else:
        parts = streams.program(model, platform=ANYWHERE)
        frame = jax.eval_shape(prepare, given)
        cache = jax.eval_shape(parts.begin, parts.weights, frame)
        cache = dict(sorted(cache.items()))
        inputs = [("frame", given), *cache.items()]
        names = ["logits", *(f"{NEXT}{name}" for name in cache)]

        def function(frame, *kept):
            kept = dict(zip(cache, kept, strict=True))
            logits, kept = parts.apply(parts.weights, kept, prepare(frame))
            return (logits, *(kept[name] for name in cache))

    function = portable(function)
    found = jax.eval_shape(function, *(shape for _, shape in inputs))
    outputs = list(zip(names, found, strict=True))
    return PortableProgram(function, inputs, outputs, shape[0])


def offline(kind: str, model: nnx.Module, prepare: Callable) -> Callable:
    """Builds the reference of an exported program, from clips `[B, T, H, W, C]`.

    The logits of clips `[B, K]`; of streams those of every frame of the whole clip,
    `[B, T, K]`, which no cache was needed for.
    """
    graphdef, weights = nnx.split(model)

    @jax.jit
    def run(weights, clips):
        network = nnx.merge(graphdef, weights)
        clips = prepare(clips)
        logits = network(clips) if kind == "clip" else network.frame_logits(clips)
        return logits.astype(jnp.float32)

    return lambda clips: run(weights, clips)
