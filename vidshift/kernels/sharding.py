"""Kernels on several devices: each runs on its own part of the batch.

XLA cannot split a kernel call over devices, so inside a sharded program it would gather
the whole batch on each of them. `shard_map` says how to split it. It belongs inside a
`custom_vjp` and around the kernel call, never around the `custom_vjp`: then no collective
is added in the backward pass (https://github.com/jax-ml/jax/issues/21855).
"""

import jax
from jax.sharding import AxisType, PartitionSpec

BATCH_AXIS = "data"


def over_batch(
    function,
    *,
    batched: tuple[bool, ...],
    axis: int = 0,
    result_axis: int | None = None,
    parts: int | None = None,
):
    """Runs `function` on each device's rows of its batched arguments.

    Every result of `function` has the batch, or one row for each call, on one axis; what
    is to be summed over devices is therefore summed outside, where XLA joins that sum
    with the others of the step. The mesh is that of the arguments, or the one of
    `jax.set_mesh`. A batch that its axis does not divide is computed on every device.

    Args:
      function: arrays in, an array or a tuple of arrays out.
      batched: for each argument, whether it has the batch.
      axis: where the arguments have it.
      result_axis: where the results have it; None: where the arguments do.
      parts: the device's parts that the axis counts first (`vidshift.kernels.frames`), where it
        is not the batch alone; None: the axis is split where it divides.
    """
    result_axis = axis if result_axis is None else result_axis

    def run(*args):
        mesh = _mesh_of(args[0])
        if mesh is None:
            return function(*args)
        name = _batch_axis(mesh)
        rows = {a.shape[axis] for a, b in zip(args, batched, strict=True) if b}
        if parts is None:
            split = all(n % mesh.shape[name] == 0 for n in rows)
        else:
            split = parts == mesh.shape[name]
        whole = PartitionSpec()

        def spec(axis):
            return PartitionSpec(*[None] * axis, name) if split else whole

        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=tuple(spec(axis) if b else whole for b in batched),
            out_specs=spec(result_axis),
            check_vma=False,
        )(*args)

    return run


def batch_devices(x) -> int:
    """Number of devices that `over_batch` shares the batch of x out to.

    1 where it cannot know: the mesh is not to be seen, or its axes are not `Auto`.
    """
    mesh = _mesh_of(x)
    if mesh is None or not can_split(x, mesh.size):
        return 1
    return mesh.shape[_batch_axis(mesh)]


def varying_like(a, x):
    """An array that devices share, beside x, which they may not.

    In a `shard_map` of the caller's this is what sums the array's gradient over them.
    """
    over = jax.typeof(x).manual_axis_type.varying
    axes = tuple(over - jax.typeof(a).manual_axis_type.varying)
    return jax.lax.pcast(a, axes, to="varying") if axes else a


def can_split(x, devices: int) -> bool:
    """Tells if `over_batch` knows how a program's devices share out the batch.

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
