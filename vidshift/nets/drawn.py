"""Weights drawn by name: of networks that are only timed or exported, and of parity cases."""

import zlib
from collections.abc import Callable, Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift.nets.weights import Arrays, split

# (generator, shape) -> values, by the last part of a name of ours.
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 1.5, shape)


# Features neither vanish nor grow without end, and zeros would leave parts out.
DRAWS: dict[str, Draw] = {
    "scale": _positive,
    "var": _positive,
    "temperature": _positive,
    "shift": lambda rng, shape: rng.uniform(-1.5, 1.5, shape),
    "kernel": lambda rng, shape: rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape),
}


def small(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The draw of all other arrays."""
    return rng.normal(0, 0.1, shape)


def random_network(
    model: nnx.Module, *, seed: int = 0, draws: Mapping[str, Draw] = DRAWS
) -> nnx.Module:
    """An abstract model (`nnx.eval_shape`) filled with random parameters and statistics."""
    rng = np.random.default_rng(seed)

    def drawn(arrays: Arrays) -> Arrays:
        leaves = {name: name.rsplit(".", 1)[-1] for name in arrays}
        return {
            name: jnp.asarray(draws.get(leaves[name], small)(rng, a.shape), a.dtype)
            for name, a in arrays.items()
        }

    skeleton, params, stats = split(model)
    return skeleton.merge(drawn(params), drawn(stats))


def made_up_weights(shapes: Iterable) -> dict[str, np.ndarray]:
    """An official state dict from pairs of a name and a shape; no weights are stored."""
    return {key: made_up_weight(key, tuple(shape)) for key, shape in shapes}


def made_up_weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor drawn from its official name alone."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "T" and shape == ():  # RubiksNet's attention temperature
        return np.asarray(0.5, np.float32)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):  # a norm's
        return _positive(rng, shape).astype(np.float32)
    if leaf in ("running_mean", "bias"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "shift":
        return rng.uniform(-1.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (np.sqrt(1.0 / fan_in) * rng.standard_normal(shape)).astype(np.float32)
