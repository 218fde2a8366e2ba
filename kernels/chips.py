"""Chips to compile for where none is: XLA only needs their description.

Nothing happens at import. `describe` has to come before anything else makes JAX start.
"""

import importlib.util
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies

REQUIREMENTS = "pip install -r requirements-targets.txt"

# What XLA asks a device about itself; an H100 SXM, after XLA's own
# xla/backends/gpu/target_config/specs/h100_sxm.txtpb.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


class Chip(NamedTuple):
    platform: str  # as `jax.lax.platform_dependent` calls it
    topology: dict  # arguments of `get_topology_desc`
    environment: dict[str, str]
    needs: dict[str, str]  # module -> its package
    peak_bytes_per_second: float  # of the memory, by the data sheet
    compute_capability: int | None = None


def _tpu(name: str, accelerator: str, peak: float) -> Chip:
    return Chip(
        "tpu",
        {"platform": "tpu", "topology_name": f"{name}:2x2"},
        {
            "TPU_SKIP_MDS_QUERY": "1",  # no Cloud metadata server here
            "TPU_ACCELERATOR_TYPE": accelerator,
            "TPU_WORKER_HOSTNAMES": "localhost",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # or a second process aborts
        },
        {"libtpu": "libtpu"},
        peak,
    )


CHIPS = {
    # Bandwidths: cloud.google.com/tpu/docs/v6e, which has both (rounded to 800 and 1600
    # since); nvidia.com, H100 data sheet (SXM).
    "v5e": _tpu("v5e", "v5litepod-4", 819e9),
    "v6e": _tpu("v6e", "v6e-4", 1640e9),
    "h100": Chip(
        "cuda",
        {
            "platform": "cuda",
            "topology_name": "h100",
            "topology": "1x1x1",
            "target_config": H100,
        },
        # The plugin looks for CUDA's libraries, which compiling does not need.
        {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"},
        {"jax_cuda12_plugin": "jax-cuda12-plugin", "jax_triton": "jax-triton"},
        3.35e12,
        compute_capability=90,
    ),
}


def missing(name: str) -> str | None:
    """What has to be installed before compiling for a chip, or None."""
    packages = [
        package
        for module, package in CHIPS[name].needs.items()
        if importlib.util.find_spec(module) is None
    ]
    if not packages:
        return None
    return f"{name} needs {' and '.join(packages)}: {REQUIREMENTS}"


def describe(name: str):
    """The device to compile for. This process then has the CPU and no other device.

    Raises:
      RuntimeError: a package is missing; it says which.
    """
    why = missing(name)
    if why:
        raise RuntimeError(why)
    os.environ.update(CHIPS[name].environment)
    jax.config.update("jax_platforms", "cpu")
    return topologies.get_topology_desc(**CHIPS[name].topology).devices[0]
