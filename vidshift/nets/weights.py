"""A network as plain arrays under dotted names: what is trained, saved and compared."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from flax import nnx

# {"stages.0.1.units.0.conv.kernel": [3, 3, 64, 64], ...}; shapes alone where the model
# is abstract (`nnx.eval_shape`).
Arrays = dict[str, jax.Array | np.ndarray | jax.ShapeDtypeStruct]


@runtime_checkable
class Mergeable(Protocol):
    """Maker of a network from arrays: a skeleton, or one that changes them first."""

    def merge(self, params: Arrays, stats: Arrays) -> nnx.Module: ...


class Skeleton(NamedTuple):
    """A network without its arrays; `merge` puts arrays back."""

    graphdef: nnx.GraphDef
    paths: dict[str, tuple]

    def merge(self, params: Arrays, stats: Arrays) -> nnx.Module:
        arrays = params | stats
        state = nnx.from_flat_state({p: arrays[n] for n, p in self.paths.items()})
        return nnx.merge(self.graphdef, state)


def named_arrays(model: nnx.Module, kind=...) -> Arrays:
    """The arrays of one kind of variable (`nnx.Param`, `nnx.BatchStat`) by name."""
    flat = nnx.to_flat_state(nnx.as_pure(nnx.state(model, kind)))
    return {".".join(map(str, path)): array for path, array in flat}


def split(model: nnx.Module) -> tuple[Skeleton, Arrays, Arrays]:
    """A model as (skeleton, parameters, batch statistics)."""
    graphdef, state = nnx.split(model)
    paths = {".".join(map(str, path)): path for path, _ in nnx.to_flat_state(state)}
    return (
        Skeleton(graphdef, paths),
        named_arrays(model, nnx.Param),
        named_arrays(model, nnx.BatchStat),
    )


def first_kernels(make: Callable[[int], nnx.Module]) -> list[str]:
    """Names of the kernels that read a clip's channels, on their axis -2.

    Args:
      make: from a number of channels to the model, of shapes alone.
    """
    three, four = (named_arrays(make(channels), nnx.Param) for channels in (3, 4))
    return [name for name in three if three[name].shape != four[name].shape]
