"""Descriptions of chips, which are all that XLA needs to compile for an absent one.

Importing this module starts nothing. Call `describe` before JAX looks for its devices.
"""

import importlib.util
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies

REQUIREMENTS = 'pip install "vidshift[targets]"'

# Properties that XLA reads of a device: an H100 SXM, after XLA's own
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
    topology: dict  # arguments of `get_topology_desc` for one chip
    environment: dict[str, str]
    needs: dict[str, str]  # module -> its package
    peak_bytes_per_second: float  # of the memory, by the data sheet
    memory_bytes: int  # available to a program
    peak_flops: dict[str, float]  # compute type -> operations a second, dense
    link_bytes_per_second: float  # sent to other chips, while as much is received
    slices: dict[int, dict]  # number of chips -> changes of `topology`
    compute_capability: int | None = None
    clock_hz: float | None = None


# Cloud TPU's slices (cloud.google.com/tpu/docs/v6e, "Supported configurations"; v5e has
# the same). One chip is described as a part of the smallest, 2x2.
TPU_SLICES = {
    1: "2x2",
    4: "2x2",
    8: "2x4",
    16: "4x4",
    32: "4x8",
    64: "8x8",
    128: "8x16",
    256: "16x16",
}


def _tpu(
    name: str,
    accelerator: str,
    *,
    bytes_per_second: float,
    memory_gib: float,
    flops: float,
    link: float,
    clock_hz: float | None = None,
) -> Chip:
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
        bytes_per_second,
        int(memory_gib * 2**30),
        # float32 factors are rounded to bfloat16 unless a program asks for more.
        {"bfloat16": flops, "float32": flops},
        link,
        {n: {"topology_name": f"{name}:{side}"} for n, side in TPU_SLICES.items()},
        clock_hz=clock_hz,
    )


CHIPS = {
    # cloud.google.com/tpu/docs/v5e and .../v6e: peak compute in bfloat16, HBM bandwidth
    # (both given as 819 and 1640 GB/s, rounded to 800 and 1600 since), and interconnect,
    # half of the bidirectional 400 and 800 GB/s. Of the 16 and 32 GB of memory libtpu
    # 0.0.51 gives a program this much, as it says when one needs more.
    "v5e": _tpu(
        "v5e",
        "v5litepod-4",
        bytes_per_second=819e9,
        memory_gib=15.75,
        flops=197e12,
        link=200e9,
        clock_hz=197e12 / (4 * 128 * 128 * 2),  # four matrix units
    ),
    "v6e": _tpu(
        "v6e",
        "v6e-4",
        bytes_per_second=1640e9,
        memory_gib=31.24,
        flops=918e12,
        link=400e9,
    ),
    # nvidia.com, H100 data sheet (SXM): memory, bandwidth, tensor cores without the
    # sparsity that doubles them (float32 is multiplied as TF32), half of NVLink's 900
    # GB/s. JAX takes three quarters of the memory unless XLA_PYTHON_CLIENT_MEM_FRACTION
    # says otherwise.
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
        80 * 10**9,
        {"bfloat16": 989e12, "float32": 494e12},
        450e9,
        {n: {"topology": f"1x{n}x1"} for n in (1, 2, 4, 8)},  # within one machine
        compute_capability=90,
    ),
}


# Device kinds, as JAX has them, of which the table has the peak of computing. An H200 has
# an H100's multiprocessors and clock (nvidia.com, H200 data sheet: the same FLOP/s).
DEVICE_KINDS = {
    "TPU v5 lite": "v5e",
    "TPU v6 lite": "v6e",
    "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H200": "h100",
}


def of_device(device_kind: str) -> Chip | None:
    """Returns the chip with the peak FLOP/s of a device, or None if it is not known."""
    name = DEVICE_KINDS.get(device_kind)
    return CHIPS[name] if name else None


def missing(name: str) -> str | None:
    """Names packages to install before compiling for a chip, or returns None."""
    packages = [
        package
        for module, package in CHIPS[name].needs.items()
        if importlib.util.find_spec(module) is None
    ]
    if not packages:
        return None
    return f"{name} needs {' and '.join(packages)}: {REQUIREMENTS}"


def describe(name: str):
    """Returns the device to compile for; this process then has no device but the CPU.

    Raises:
      RuntimeError: a package is missing; the message names it.
    """
    return describe_slice(name, 1)[0]


def describe_slice(name: str, count: int) -> list:
    """Returns the devices of a slice of several chips; see `describe`.

    Raises:
      ValueError: no slice has so many chips; the message lists the sizes.
      RuntimeError: a package is missing; the message names it.
    """
    chip = CHIPS[name]
    if count not in chip.slices:
        sizes = ", ".join(map(str, chip.slices))
        raise ValueError(f"chips={count}: {name} can be compiled for {sizes} chips")
    why = missing(name)
    if why:
        raise RuntimeError(why)
    os.environ.update(chip.environment)
    jax.config.update("jax_platforms", "cpu")
    topology = topologies.get_topology_desc(**(chip.topology | chip.slices[count]))
    return list(topology.devices)[:count]
