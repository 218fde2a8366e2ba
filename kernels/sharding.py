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
    `jax.set_mesh`. A batch that its `data` axis does not divide is computed on every
    device.

    Args:
      function: arrays in, an array or a tuple of arrays out.
      batched: for each argument, whether its first axis is the batch.
    """

    def run(*args):
        mesh = _mesh_of(args)
        if mesh is None:
            return function(*args)
        rows = {a.shape[0] for a, b in zip(args, batched, strict=True) if b}
        split = all(n % mesh.shape[BATCH_AXIS] == 0 for n in rows)
        spec = PartitionSpec(BATCH_AXIS) if split else PartitionSpec()
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=tuple(spec if b else PartitionSpec() for b in batched),
            out_specs=spec,
            check_vma=False,
        )(*args)

    return run


def _mesh_of(args):
    """The mesh to split over, or None where there is nothing to split."""
    meshes = [jax.typeof(a).sharding.mesh for a in args]
    for mesh in [*meshes, jax.sharding.get_abstract_mesh()]:
        if not mesh.empty and BATCH_AXIS in mesh.shape and mesh.size > 1:
            axis_types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
            manual = axis_types[BATCH_AXIS] == AxisType.Manual
            return None if manual else mesh  # manual: this is one device's part already
    return None
