"""Facts of the device and of the versions, as one line of JSON.

python -m vidshift.measure.device
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess

import vidshift
from vidshift.command_line.quiet import quiet_plugins

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jax-triton", "triton", "torch")


def facts() -> dict:
    """Returns what a measurement depends on; None where a fact is not known."""
    import jax

    from vidshift.kernels import bench
    from vidshift.kernels.analysis import chips

    bench.start_jax()
    device = jax.devices()[0]
    chip = chips.of_device(device.device_kind)
    return {
        "device": device.device_kind if device.platform != "cpu" else processor(),
        "platform": bench.platform_of(device),
        "driver": driver(),
        "runtime": device.client.platform_version.split("\n")[0],
        "peak_flops": chip and chip.peak_flops,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "vidshift": vidshift.__version__,
        "commit": commit(),
    }


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def driver() -> str | None:
    """Returns the NVIDIA driver's version."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    return done.stdout.split("\n")[0].strip() or None if not done.returncode else None


def processor() -> str:
    """Returns the name of this machine's processor."""
    file = pathlib.Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else ()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or "cpu"


def commit() -> str | None:
    """Returns the commit of a clone, with a `+` where files differ from it."""
    folder = pathlib.Path(__file__).parents[2]
    if shutil.which("git") is None or not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        return None if done.returncode else done.stdout.strip()

    head = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return head and head + ("+" if changed else "")


if __name__ == "__main__":
    quiet_plugins()
    print(json.dumps(facts()))
