"""Bytes that an operation has to move, and those that its kernel's grid fetches."""

import math

import jax
import numpy as np
from jax.experimental import pallas as pl
from jax.extend import core
from jax.interpreters.partial_eval import dce_jaxpr

from vidshift.kernels.analysis.cases import Case
from vidshift.kernels.lowering import CHOOSERS, lowered_for

LANES, SUBLANES = 128, 8  # XLA's tile on a TPU; bfloat16 pairs rows inside it


def logical_bytes(array) -> int:
    return math.prod(array.shape) * array.dtype.itemsize


def tpu_bytes(array) -> int:
    """Bytes as a TPU stores an array: channels fill whole lanes, the best other axis the sublanes.

    Of `[H, W, N, C]` with few channels, N fills the lanes where it can.
    """
    *sizes, channels = array.shape
    if len(sizes) == 3 and channels < LANES and sizes[-1] % LANES == 0:
        sizes[-1], channels = channels, sizes[-1]
    rows = min(
        (math.prod(sizes) // n * _up(n, SUBLANES) for n in sizes),
        default=1,
    )
    return rows * _up(channels, LANES) * array.dtype.itemsize


def fewest_bytes(case: Case, platform: str) -> int:
    """Each operand read once and each result written once, as the chip stores them.

    A property of the operation and the chip alone, the same for every implementation. On
    a TPU features are taken to have their channels in lanes, as the matrix products
    around them want, so 72 channels take the room of 128.
    """
    stored = tpu_bytes if platform == "tpu" else logical_bytes
    return sum(map(stored, case.on(platform).least_arrays()))


def kernel_bytes(case: Case) -> int:
    """Bytes that a kernel's own loads and stores move."""
    count = case.table_row.bytes
    if count is not None:
        itemsize = case.arguments()[0].dtype.itemsize
        shape = case.shape
        return count(case.direction, shape.x, itemsize, **shape.arguments)
    if case.platforms != ("tpu",):
        raise NotImplementedError(f"no count of {case.name}'s bytes")
    case = case.on("tpu")
    return pallas_bytes(case.function(), *case.arguments())


def pallas_bytes(function, *args) -> int:
    """Bytes that the Pallas TPU kernels in a function move between HBM and VMEM.

    A block is moved at each grid step where its index differs from the step before:
    Pallas keeps a block that stays. It counts as stored, its two minor dimensions padded
    to the tile, less what lies beyond the array's end. Of branches all are counted.

    Raises:
      NotImplementedError: a grid or an index that is known only when the program runs,
        or an operand that the kernel copies from HBM by itself.
    """
    closed = jax.make_jaxpr(function)(*args)
    # The forward pass of a gradient whose value nobody reads is not compiled either.
    jaxpr, _ = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return _kernels_of(jaxpr)


def _kernels_of(jaxpr) -> int:
    total = 0
    read = {id(v) for v in jaxpr.outvars}
    for eqn in reversed(jaxpr.eqns):
        # Once more: jax 0.10's `dce_jaxpr` keeps every Pallas call.
        if not eqn.effects and not any(id(v) in read for v in eqn.outvars):
            continue
        read.update(id(v) for v in eqn.invars)
        if eqn.primitive.name == "pallas_call":
            total += _call_bytes(eqn)
            continue
        if eqn.primitive in CHOOSERS:
            total += _kernels_of(lowered_for("tpu", eqn))
            continue
        inner = sum(map(_kernels_of, core.jaxprs_in_params(eqn.params)))
        if inner and eqn.primitive.name == "while":
            raise NotImplementedError("a kernel in a loop of unknown length")
        total += inner * eqn.params.get("length", 1)  # of a scan
    return total


def _call_bytes(eqn) -> int:
    mapping = eqn.params["grid_mapping"]
    if not all(isinstance(n, int) for n in mapping.grid):
        raise NotImplementedError(f"a grid known only at run time: {mapping.grid}")
    scalars = eqn.invars[: mapping.num_index_operands]
    return sum(logical_bytes(v.aval) for v in scalars) + sum(
        _moved(block, mapping.grid) for block in mapping.block_mappings
    )


def _moved(block, grid) -> int:
    space = str(block.transformed_block_aval.memory_space).lower()
    if space in ("any", "hbm"):
        raise NotImplementedError(f"the kernel copies {block.origin} by itself")
    shape = block.array_aval.shape
    indices = _indices(block, grid)  # [steps, rank]
    changed = np.any(np.diff(indices, axis=0) != 0, axis=1)
    indices = indices[np.concatenate([[True], changed])]
    extents = [
        _extent(dim, size, index)
        for dim, size, index in zip(block.block_shape, shape, indices.T, strict=True)
    ]
    for i, tile in zip((-1, -2), (LANES, SUBLANES)):
        if -i <= len(extents):
            extents[i] = -(-extents[i] // tile) * tile
    elements = np.prod(np.stack(extents), axis=0) if extents else np.ones(1, int)
    return int(elements.sum()) * block.array_aval.dtype.itemsize


def _indices(block, grid) -> np.ndarray:
    """The block's index at each grid step, the last axis of the grid running fastest."""
    rank = len(block.array_aval.shape)
    if not grid:
        return np.zeros((1, rank), int)
    jaxpr = block.index_map_jaxpr
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    scalars = inner.invars[len(grid) :]
    used = {id(v) for eqn in inner.eqns for v in eqn.invars}
    if any(id(v) in used for v in scalars):
        raise NotImplementedError(f"{block.origin}'s index depends on an array")
    index_map = core.jaxpr_as_fun(jaxpr)
    steps = np.indices(grid, dtype=np.int32).reshape(len(grid), -1)
    found = jax.jit(jax.vmap(lambda *i: index_map(*i, *[None] * len(scalars))))(*steps)
    return np.stack(found, axis=1) if rank else np.zeros((steps.shape[1], 0), int)


def _extent(dim, size: int, index: np.ndarray) -> np.ndarray:
    """Number of an axis' places that a block holds, at each index."""
    if dim is None or isinstance(dim, pl.Squeezed):
        return np.ones_like(index)
    if isinstance(dim, pl.Element):
        return np.minimum(dim.block_size, size - index)
    if isinstance(dim, pl.BoundedSlice):
        raise NotImplementedError("a block of unknown size")
    length = dim if isinstance(dim, int) else dim.block_size
    return np.minimum(length, size - index * length)


def _up(n: int, to: int) -> int:
    return -(-n // to) * to
