"""Kernels on several devices: each runs on its own part of the batch.

XLA cannot split a kernel call over devices, so inside a sharded program it would gather
the whole batch on each of them. `shard_map` says how to split it. It belongs inside a
`custom_vjp` and around the kernel call, never around the `custom_vjp`: then no collective
is added in the backward pass (https://github.com/jax-ml/jax/issues/21855).
"""

import jax
from jax.sharding import AxisType, PartitionSpec

BATCH_AXIS = "data"


def over_batch(function, *, batched: tuple[bool, ...]):
    """Runs `function` on each device's rows of its batched arguments.

    Every result of `function` has the batch, or one row for each call, as its first axis;
    what is to be summed over devices is therefore summed outside, where XLA joins that
    sum with the others of the step. The mesh is that of the arguments, or the one of
    `jax.set_mesh`. A batch that its axis does not divide is computed on every device.

    Args:
      function: arrays in, an array or a tuple of arrays out.
      batched: for each argument, whether its first axis is the batch.
    """

    def run(*args):
        mesh = _mesh_of(args[0])
        if mesh is None:
            return function(*args)
        axis = _batch_axis(mesh)
        rows = {a.shape[0] for a, b in zip(args, batched, strict=True) if b}
        split = all(n % mesh.shape[axis] == 0 for n in rows)
        spec = PartitionSpec(axis) if split else PartitionSpec()
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=tuple(spec if b else PartitionSpec() for b in batched),
            out_specs=spec,
            check_vma=False,
        )(*args)

    return run


def can_split(x, devices: int) -> bool:
    """Whether `over_batch` knows how a program's devices share out the batch.

    It does for one device, in a `shard_map`, and on a mesh of `Auto` axes with one axis
    or one that is called `data`; not where `jax.jit` alone was told of the mesh, by its
    `in_shardings`.
    """
    mesh = _mesh_of(x)
    if mesh is None:
        return devices == 1
    return _batch_axis(mesh) is not None and all(
        kind == AxisType.Auto for kind in mesh.axis_types
    )


def _batch_axis(mesh) -> str | None:
    if len(mesh.axis_names) == 1:
        return mesh.axis_names[0]
    return BATCH_AXIS if BATCH_AXIS in mesh.axis_names else None


def _mesh_of(x):
    """The mesh to split over, or None where there is nothing to split."""
    for mesh in (jax.typeof(x).sharding.mesh, jax.sharding.get_abstract_mesh()):
        if not mesh.empty and mesh.size > 1:
            # Manual: this is one device's part already.
            manual = all(kind == AxisType.Manual for kind in mesh.axis_types)
            return None if manual else mesh
    return None
