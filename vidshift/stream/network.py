"""Causal networks frame by frame (TSM's online model: Lin et al., ICCV 2019, section 4.2)."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from vidshift.layers.folded import folded
from vidshift.shifts.options import check_whole
from vidshift.shifts.past import Past, new_past, start_streams

# What a stream keeps of its past, by the layer's name: zero where it begins. Axis -2 of
# each array counts streams.
Cache = dict[str, Array]
# The names of what `average` keeps.
SUM, LAST, SEEN = "average.sum", "average.last", "average.seen"


class StreamProgram(NamedTuple):
    """A network that sees one frame, as functions of arrays."""

    weights: nnx.State
    # (weights, frame) -> shapes of the cache; (weights, cache, frame) -> (logits, cache)
    begin: Callable
    apply: Callable


def program(
    model: nnx.Module, *, platform: str | None = None, features: bool = False
) -> StreamProgram:
    """Takes a network apart into what it computes for a frame and what it keeps.

    Args:
      model: reads no later frame, in evaluation mode.
      platform: see `vidshift.folded`.
      features: each frame's pooled features in place of its logits.

    Raises:
      ValueError: the network reads later frames.
    """
    if not getattr(model, "causal", False):
        raise ValueError(
            "a stream needs a network that reads no later frame, and this one does: "
            "train it with config.model.causal=True (tsm, gsm, gsf, RubiksNet), or "
            "without a view of time (tsn)"
        )
    if model.resolution.frames is not None:
        raise ValueError(
            f"a stream has all frames, and this network looks at frames="
            f"{model.resolution.frames} of a clip"
        )
    # Another object: the caller's goes on seeing clips.
    streaming = folded(model, platform=platform)
    leaves = jax.tree.leaves(nnx.state(model))
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        streaming = nnx.eval_shape(_started, streaming)
    else:
        _started(streaming)
    graphdef, past, weights = nnx.split(streaming, Past, ...)
    answer = "stream_features" if features else "stream_logits"
    paths = {".".join(map(str, path)): path for path, _ in nnx.to_flat_state(past)}

    def apply(weights, cache: Cache, frame):
        # Variables of the program that is traced.
        past = nnx.from_flat_state({paths[name]: Past(a) for name, a in cache.items()})
        network = nnx.merge(graphdef, past, weights)
        logits = getattr(network, answer)(frame)
        kept = nnx.to_flat_state(nnx.as_pure(nnx.state(network, Past)))
        by_path = dict(kept)
        return logits, {name: by_path[path] for name, path in paths.items()}

    def begin(weights, frame) -> Cache:
        unknown = {name: new_past()[...] for name in paths}
        return apply(weights, unknown, frame)[1]

    return StreamProgram(weights, begin, apply)


def _started(model: nnx.Module) -> nnx.Module:
    start_streams(model)
    return model


def make(
    model: nnx.Module, *, average: str | int | None = None
) -> tuple[Callable[..., Cache], Callable[..., tuple[Float[Array, "B K"], Cache]]]:
    """Makes a network see streams frame by frame, with the answers it has offline.

    After t frames the logits are `model.frame_logits(clip)[:, t - 1]`, to rounding.

    Args:
      model: reads no later frame (`causal=True`, or TSN), in evaluation mode.
      average: None gives each frame's logits; "all" their mean since the stream began, as
        the network is trained; a number the mean of the last so many, as the official
        demonstration of TSM (12).

    Returns:
      `init(batch, size)`: the cache of `batch` streams that begin; `size` is a side in
      pixels or (height, width).
      `step(cache, frame, reset=None)`: normalised frames `[B, H, W, C]` to (logits float32
      `[B, classes]`, the next cache). Streams where `reset`, bool `[B]`, is true begin
      with this frame. The cache that is given is gone afterwards (donated).

    Raises:
      ValueError: the network reads later frames; from `step`, a frame of another size or
        number of streams than the cache's.
    """
    if average not in (None, "all"):
        check_whole("average", average, 1)
    parts = program(model)
    classes, channels = model.num_classes, model.in_channels

    def shapes(frame):
        cache = dict(jax.eval_shape(parts.begin, parts.weights, frame))
        batch = frame.shape[0]
        if average is not None:
            cache[SEEN] = jax.ShapeDtypeStruct((batch, 1), jnp.float32)
        if average == "all":
            cache[SUM] = jax.ShapeDtypeStruct((batch, classes), jnp.float32)
        elif average is not None:
            last = (average, batch, classes)
            cache[LAST] = jax.ShapeDtypeStruct(last, jnp.float32)
        return cache

    def init(batch: int, size: int | tuple[int, int]) -> Cache:
        check_whole("batch", batch, 1)
        height, width = (size, size) if isinstance(size, int) else size
        frame = jax.ShapeDtypeStruct((batch, height, width, channels), jnp.float32)
        return {name: jnp.zeros(a.shape, a.dtype) for name, a in shapes(frame).items()}

    @functools.partial(jax.jit, donate_argnames="cache")
    def run(weights, cache, frame, reset):
        # Traced once for each shape.
        given = {name: a.shape for name, a in cache.items()}
        needed = {name: a.shape for name, a in shapes(frame).items()}
        if given != needed:
            raise ValueError(
                f"the cache was not made for frames of shape {frame.shape}: "
                f"init(batch={frame.shape[0]}, size={frame.shape[1:3]}) makes one"
            )
        if reset is not None:
            goes_on = ~reset[:, None]
            cache = {name: jnp.where(goes_on, a, 0) for name, a in cache.items()}
        own = {name: cache.pop(name) for name in (SUM, LAST, SEEN) if name in cache}
        logits, cache = parts.apply(weights, cache, frame)
        if own:
            logits, own = _averaged(logits, own)
        return logits, cache | own

    def step(
        cache: Cache,
        frame: Float[Array | np.ndarray, "B H W C"],
        reset: Bool[Array | np.ndarray, " B"] | None = None,
    ) -> tuple[Float[Array, "B K"], Cache]:
        return run(parts.weights, cache, frame, reset)

    return init, step


def _averaged(logits: Array, own: Cache) -> tuple[Array, Cache]:
    """Averages the logits so far, or the last ones."""
    seen = own[SEEN] + 1
    if SUM in own:
        total = own[SUM] + logits
        return total / seen, {SUM: total, SEEN: seen}
    last = jnp.concatenate([own[LAST][1:], logits[None]])
    number = jnp.minimum(seen, len(last))
    return last.sum(0) / number, {LAST: last, SEEN: seen}
