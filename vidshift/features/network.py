"""Networks on the device: batches of clips to features, frames of a stream to features."""

import collections
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vidshift.command_line.progress import to_stderr
from vidshift.devices import mesh as meshes
from vidshift.devices.compilation_cache import compiling
from vidshift.features.windows import Clips
from vidshift.layers.folded import folded
from vidshift.nets.weights import split
from vidshift.run import Run
from vidshift.stream.network import program

# Batches that the device is given before their features are fetched.
AHEAD = 2
Rows = Float[np.ndarray, "N ..."]


class WindowNetworks:
    """Features of windows, of one network or of several side by side.

    Args:
      runs: whose networks they are.
      layer: a name in `LAYERS` of `vidshift.nets.video_network`.
      batch_size: windows at a time, a multiple of the devices.
      soft: see `Run.network`.

    Raises:
      ValueError: a batch that the devices cannot share; from a call, features of several
        networks that differ in more than their channels.
    """

    def __init__(
        self, runs: Sequence[Run], *, layer: str, batch_size: int, soft: bool = False
    ):
        self._mesh = meshes.make_mesh()
        meshes.check_batch("batch-size", batch_size, self._mesh)
        self.batch_size = batch_size
        parts = [split(folded(run.network(soft=soft))) for run in runs]
        skeletons = [skeleton for skeleton, _, _ in parts]
        weights = [tuple(arrays) for _, *arrays in parts]
        self._weights = meshes.replicate(self._mesh, weights)
        prepared = [run.normalise for run in runs]

        def features(weights, clips):
            found = [
                skeleton.merge(*arrays).features(normalise(video), layer=layer)
                for skeleton, arrays, normalise, video in zip(
                    skeletons, weights, prepared, clips, strict=True
                )
            ]
            if len({x.shape[:-1] for x in found}) > 1:
                shapes = " and ".join(str(x.shape[1:]) for x in found)
                raise ValueError(
                    f"layer={layer!r} of the two networks cannot be joined: {shapes}"
                )
            return jnp.concatenate([x.astype(jnp.float32) for x in found], -1)

        self._features = jax.jit(features)
        self._compiled: set[int] = set()

    def __call__(self, batches: Iterable[Sequence[Clips]]) -> Iterator[Rows]:
        """Yields the features of a video's batches, in order.

        The last batch is filled up to a power of two, or to the devices: a file depends
        on its own video and on the batch size alone.
        """
        running: collections.deque[tuple[jax.Array, int]] = collections.deque()
        for batch in batches:
            running.append((self._start(batch), len(batch)))
            if len(running) > AHEAD:
                yield _fetched(*running.popleft())
        while running:
            yield _fetched(*running.popleft())

    def _start(self, batch: Sequence[Clips]) -> jax.Array:
        size = self._mesh.size
        while size < len(batch):
            size *= 2
        size = min(size, self.batch_size)
        rows = {
            str(place): _filled(np.stack(clips), size)
            for place, clips in enumerate(zip(*batch, strict=True))
        }
        sharded = list(meshes.shard_batch(self._mesh, rows).values())
        if size in self._compiled:
            return self._features(self._weights, sharded)
        self._compiled.add(size)
        with compiling(f"the network for {size} windows", to_stderr):
            return self._features(self._weights, sharded)


class StreamNetworks:
    """Features of each frame of a stream, of one causal network or of several.

    Args:
      runs: whose networks read no later frame.
      batch_size: frames whose features are fetched together.
      soft: see `Run.network`.

    Raises:
      ValueError: a network reads later frames.
    """

    def __init__(self, runs: Sequence[Run], *, batch_size: int, soft: bool = False):
        self.batch_size = batch_size
        self._networks = [_StreamNetwork(run, soft) for run in runs]

    def __call__(self, batches: Iterable[Sequence[Clips]]) -> Iterator[Rows]:
        """Yields the features of a video's frames, given as windows of one frame."""
        caches = [None] * len(self._networks)
        running: collections.deque[tuple[jax.Array, int]] = collections.deque()
        for batch in batches:
            parts = []
            for place, network in enumerate(self._networks):
                frames = np.stack([clips[place][0] for clips in batch])
                found, caches[place] = network(caches[place], frames)
                parts.append(found)
            running.append((jnp.concatenate(parts, -1), len(batch)))
            if len(running) > AHEAD:
                yield _fetched(*running.popleft())
        while running:
            yield _fetched(*running.popleft())


class _StreamNetwork:
    """`(cache, frames [N, S, S, C]) -> (features [N, C], cache)` of one stream.

    Each frame is a call: in a loop of XLA, convolutions are slow on a CPU.
    """

    def __init__(self, run: Run, soft: bool):
        self._program = program(run.network(soft=soft), features=True)

        def one(weights, cache, frame):
            # A clip of one frame, `[1, S, S, C]`.
            found, cache = self._program.apply(weights, cache, run.normalise(frame))
            return found.astype(jnp.float32), cache

        self._one = jax.jit(one, donate_argnums=1)

    def __call__(self, cache, frames):
        weights = self._program.weights
        rows = []
        for frame in frames[:, None]:
            if cache is None:
                cache = self._empty(weights, frame)
                with compiling("the stream", to_stderr):
                    row, cache = self._one(weights, cache, frame)
            else:
                row, cache = self._one(weights, cache, frame)
            rows.append(row)
        return jnp.concatenate(rows), cache

    def _empty(self, weights, frame):
        frame = jax.ShapeDtypeStruct(frame.shape, jnp.float32)
        shapes = jax.eval_shape(self._program.begin, weights, frame)
        return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), dict(shapes))


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Fills a batch up with zeros."""
    empty = np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, empty]) if len(empty) else rows


def _fetched(features: jax.Array, number: int) -> Rows:
    return np.asarray(jax.device_get(features))[:number]
