"""State of a stream in a file, from which it goes on later or elsewhere."""

import os
import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np

from vidshift.stream.network import Cache


def take(cache: Cache, stream: int) -> Cache:
    """Returns the state of one of several streams, as a cache of one."""
    return {name: a[..., stream : stream + 1, :] for name, a in cache.items()}


def put(cache: Cache, stream: int, one: Cache) -> Cache:
    """Replaces one stream of a cache by another cache's only one.

    Raises:
      ValueError: they are of other networks, sizes or averages.
    """
    _check(one, {name: a[..., :1, :] for name, a in cache.items()}, "the stream")
    return {
        name: a.at[..., stream, :].set(one[name][..., 0, :])
        for name, a in cache.items()
    }


def save(path: str | os.PathLike[str], cache: Cache) -> None:
    """Writes a cache to a `.npz`, which is there whole or not at all."""
    path = pathlib.Path(path).expanduser()
    # NumPy has no bfloat16 of its own; float32 holds it.
    arrays = {name: np.asarray(a, np.float32) for name, a in cache.items()}
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


def restore(path: str | os.PathLike[str], like: Cache) -> Cache:
    """Reads a cache.

    Args:
      path: what `save` wrote.
      like: a cache of the same network, size and number of streams (`init`).

    Raises:
      ValueError: the file is missing, damaged, or of another network or size.
    """
    try:
        with np.load(pathlib.Path(path).expanduser(), allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no state of a stream ({error})") from error
    _check(arrays, like, os.fspath(path))
    return {name: jnp.asarray(arrays[name], a.dtype) for name, a in like.items()}


def _check(cache, like, what: str) -> None:
    for name in sorted(cache.keys() | like.keys()):
        shape, needed = (c[name].shape if name in c else None for c in (cache, like))
        if shape != needed:
            raise ValueError(
                f"{what} is of another network, size or number of streams: {name} is "
                f"{shape} there and {needed} here"
            )
