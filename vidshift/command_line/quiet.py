"""Keeps the talk of libraries out of a command's stderr.

CUDA's and the TPU's plugins may be installed to compile for devices that are elsewhere. At
`import jax` CUDA's libraries write a line each, and as jax looks for devices CUDA's plugin
leaves a traceback and libtpu four lines. Where a device is, everything that they say stays.
"""

import contextlib
import glob
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import pathlib
import pkgutil
import re
import sys
import tempfile

# Device files of GPUs: Linux, Jetson, WSL; of TPUs.
GPU = ("/dev/nvidia*", "/dev/nvmap", "/dev/nvhost*", "/dev/dxg", "/proc/driver/nvidia")
TPU = ("/dev/accel*", "/dev/vfio/*")
PCI_DEVICES = "/sys/bus/pci/devices/*"  # a GPU without its driver is there too
VENDORS = {"0x10de": "gpu", "0x1ae0": "tpu"}  # NVIDIA and Google
NETWORK_CARD = "0x0042"  # Google's, in every virtual machine
# Variables with which a user asks for devices or plugins.
ASKED = (
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "JAX_FORCE_TPU_INIT",
    "PJRT_NAMES_AND_LIBRARY_PATHS",
)
# Plugins of jax that find nothing to do without a GPU of NVIDIA.
CUDA_PLUGIN = re.compile(r"jax_plugins\.xla_cuda\d+")
CUDA_LIBRARY = re.compile(r"jax_cuda\d+_plugin\.\w+")
# What CUDA's libraries write as they are loaded.
NO_CUDA = (b"cudart_stub.cc", b"log messages before absl::InitializeLog()")


def quiet_plugins() -> None:
    """Makes jax use the CPU at once where there is nothing else.

    Call it before jax is imported. It does nothing where a GPU or TPU is, or where
    plugins for other devices are installed.
    """
    devices = _devices()
    if "gpu" in devices:
        return
    sys.meta_path.insert(0, _Cuda)
    asked = any(map(os.environ.get, ASKED))
    if not (devices or asked) and all(map(CUDA_PLUGIN.fullmatch, _plugins())):
        os.environ["JAX_PLATFORMS"] = "cpu"


def quiet_libraries() -> None:
    """Keeps Orbax's and TFDS's talk out of a command's stderr, and lets ours through."""
    import absl.logging

    absl.logging.use_absl_handler()  # of all loggers: the level below is theirs then
    absl.logging.set_verbosity(absl.logging.ERROR)
    absl.logging.get_absl_handler().addFilter(_is_not_raised_too)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the same of its tasks
    ours = logging.getLogger("vidshift")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    ours.propagate = False


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """Keeps out errors of Orbax's threads, which it raises in ours as well."""
    return not (record.exc_info and "orbax" in record.pathname)


def _devices() -> set[str]:
    """Returns which of "gpu" and "tpu" this machine may have."""
    files = {"gpu": GPU, "tpu": TPU}
    devices = {kind for kind, names in files.items() if any(map(glob.glob, names))}
    for folder in map(pathlib.Path, glob.glob(PCI_DEVICES)):
        vendor, device = (
            (folder / name).read_text().strip() for name in ("vendor", "device")
        )
        if vendor in VENDORS and device != NETWORK_CARD:
            devices.add(VENDORS[vendor])
    return devices


def _plugins() -> set[str]:
    """Returns the modules of jax's plugins, which jax finds in these two ways."""
    spec = importlib.util.find_spec("jax_plugins")
    folders = spec.submodule_search_locations if spec else ()
    modules = {module.name for module in pkgutil.iter_modules(folders, "jax_plugins.")}
    entries = importlib.metadata.entry_points(group="jax_plugins")
    return modules | {entry.value for entry in entries}


class _Cuda:
    """An importer of CUDA's libraries and its plugin, which load without a word."""

    @staticmethod
    def find_spec(name: str, path=None, target=None):
        loaders = {CUDA_LIBRARY: _LibraryLoader, CUDA_PLUGIN: _PluginLoader}
        for names, loader in loaders.items():
            if names.fullmatch(name):
                spec = importlib.machinery.PathFinder.find_spec(name, path, target)
                if spec and isinstance(spec.loader, loader.__base__):
                    spec.loader = loader(name, spec.origin)
                return spec
        return None


class _LibraryLoader(importlib.machinery.ExtensionFileLoader):
    def create_module(self, spec):
        with _without_lines(NO_CUDA):
            return super().create_module(spec)


class _PluginLoader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module) -> None:
        super().exec_module(module)
        module.initialize = _without_lines(NO_CUDA)(module.initialize)


@contextlib.contextmanager
def _without_lines(unwanted: tuple[bytes, ...]):
    """Leaves lines out of what libraries of C write to stderr."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            for line in file:
                if not any(part in line for part in unwanted):
                    os.write(2, line)
