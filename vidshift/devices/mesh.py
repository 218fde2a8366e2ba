"""Processes and devices: starting up together, one mesh, arrays spread over it."""

import collections

import jax
import numpy as np
from jax._src.clusters import ClusterEnv
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidshift.devices import peers

MODES = ("off", "auto", "explicit")


def start_distributed(
    *,
    mode: str,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout_seconds: int,
) -> None:
    """Joins the other processes, or gives up after `timeout_seconds`.

    Call it before anything else touches jax. "auto" finds the others by itself on TPU
    pods, Slurm and MPI; "explicit" takes the coordinator's `host:port`, the number of
    processes and this one's index. From then on a process that goes ends all.

    Raises:
      ValueError: an unknown mode, or "explicit" without its three fields.
      RuntimeError: the processes cannot meet.
    """
    if mode not in MODES:
        raise ValueError(f"distributed.mode must be one of {MODES}, got {mode!r}")
    if mode == "off":
        return
    if mode == "explicit":
        fields = {
            "coordinator": coordinator,
            "num_processes": num_processes,
            "process_id": process_id,
        }
        missing = [name for name, value in fields.items() if value is None]
        if missing:
            raise ValueError(
                f"distributed.mode=explicit needs distributed.{', '.join(missing)}"
            )
        found, for_jax = tuple(fields.values()), {}
    else:
        try:
            *found, local_devices = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, timeout_seconds
            )
            reason = "no TPU pod, Slurm or MPI job found" if None in found else None
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error)
        if reason:
            raise RuntimeError(
                f"distributed.mode=auto: the processes cannot meet: {reason}"
            )
        for_jax = {"local_device_ids": local_devices}
    peers.join(*found, timeout_seconds, **for_jax)


def process_table() -> str:
    """Returns a line for each process: its index, kind and number of devices."""
    counts = collections.Counter(device.process_index for device in jax.devices())
    kind, this = jax.devices()[0].device_kind, jax.process_index()
    return "\n".join(
        f"process {index}: {count} x {kind}" + " <- this one" * (index == this)
        for index, count in sorted(counts.items())
    )


def make_mesh() -> Mesh:
    """Returns all devices of all processes on one axis, `data`."""
    return Mesh(np.asarray(jax.devices()), ("data",))


def check_batch(name: str, size: int, mesh: Mesh, *, parts: int = 1) -> None:
    """Refuses a batch that cannot be spread evenly.

    Raises:
      ValueError: it does not divide by devices times parts.
    """
    if size < 1 or size % (mesh.size * parts):
        also = f" x {parts} parts" if parts > 1 else ""
        raise ValueError(f"{name}={size} does not divide by {mesh.size} devices{also}")


def fitting_batch(size: int, clips: int, mesh: Mesh) -> int:
    """Returns the batch size, or what holds all clips at once if that is less."""
    return min(size, -(-clips // mesh.size) * mesh.size)


def shard_batch(mesh: Mesh, rows: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """Makes global arrays over the batch from this process's contiguous rows."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    with jax.transfer_guard("allow"):
        return {
            name: jax.make_array_from_process_local_data(sharding, array)
            for name, array in rows.items()
        }


def replicate(mesh: Mesh, tree):
    """Returns the same arrays on every device."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda a: jax.make_array_from_process_local_data(sharding, np.asarray(a)), tree
    )


def any_process(flag: bool) -> bool:
    """Says whether the flag is set in any process; all must ask together."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())
