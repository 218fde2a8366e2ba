"""Compares an exported file's results with the network's."""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import jax
import numpy as np

from vidshift.export import replay

TOLERANCE = 1e-4  # float32, the same function, another order of summation


def random_clips(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Draws frames that differ everywhere, of pixels or normalised."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype) == np.uint8:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape).astype(dtype)


def largest_difference(
    path: pathlib.Path, original: Callable, many: list[np.ndarray]
) -> float:
    """Runs a file in another process; returns the largest difference of logits.

    Args:
      path: the file, with its description beside it.
      original: clips to logits.
      many: clips, each array one call.

    Raises:
      ValueError: the file cannot be run.
    """
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        wanted = [np.asarray(original(clips)) for clips in many]
    with tempfile.TemporaryDirectory() as folder:
        given, answers = (pathlib.Path(folder, f"{n}.npz") for n in ("clips", "logits"))
        np.savez(given, *many)
        run_elsewhere(path, given, answers)
        with np.load(answers) as file:
            logits = [file[name] for name in file.files]
    differences = [np.abs(a - b).max() for a, b in zip(logits, wanted, strict=True)]
    return float(np.max(differences) / max(np.abs(a).max() for a in wanted))


def run_elsewhere(*files: pathlib.Path) -> None:
    """Runs `replay.main` in another process, which has nothing of this one's.

    Raises:
      ValueError: it fails, or crashes.
    """
    # Without the script's folder among those that modules are looked for in.
    command = [sys.executable, "-P", replay.__file__, *map(str, files)]
    done = subprocess.run(
        command,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(
            f"what was exported cannot be run (code {done.returncode}): {last}"
        )
