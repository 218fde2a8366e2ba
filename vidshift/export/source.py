"""The network that is exported: a run's, or one of random weights, and what it is shown."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift import runs
from vidshift.data import normalise
from vidshift.nets import names
from vidshift.nets.drawn import random_network
from vidshift.pixels import official_pixels
from vidshift.training import checkpoints


class Source(NamedTuple):
    """A float32 model, and the `model`, `input`, `classes` of a checkpoint's description."""

    name: str
    model: nnx.Module
    description: dict

    @property
    def channels(self) -> int:
        """Of the frames that are given, before normalisation."""
        differences = self.description["input"].get("modality") == "rgb_diff"
        return self.model.in_channels + 3 * differences

    def prepare(self) -> Callable[[jax.Array], jax.Array]:
        """Pixels to what the network takes."""
        seen = runs.normalisation(self.description) | {"dtype": jnp.float32}
        return functools.partial(normalise, **seen)


def of_run(run: str, which: str) -> Source:
    """The network of a run or checkpoint, computing in float32.

    Raises:
      CheckpointError: nothing complete is there.
    """
    description = checkpoints.read_description(checkpoints.find(run, which))
    made = description["model"]
    return Source(
        f"{made['backbone']}/{made['temporal']}",
        runs.load(run, which=which, dtype="float32"),
        description,
    )


def of_name(name: str, *, num_classes: int, num_frames: int) -> Source:
    """A network by its name on the command line, with random weights and statistics.

    Raises:
      ValueError: there is none of that name.
    """
    network = names.parse(name)
    pixels = official_pixels(network.backbone, bgr=False)
    return Source(
        network.name,
        random_network(
            network.abstract(num_classes=num_classes, num_frames=num_frames)
        ),
        {
            "model": {"dtype": "float32"},
            "input": {
                "mean": list(pixels.mean),
                "std": list(pixels.std),
                "resize": pixels.resize,
                "crop": pixels.crop,
                "num_frames": num_frames,
            },
            "classes": [str(i) for i in range(num_classes)],
        },
    )
