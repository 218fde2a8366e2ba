"""The network that is exported: a run's, or one of random weights, and what it is shown."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import nnx

from vidshift.config import Config
from vidshift.description import Description, Input
from vidshift.nets import names
from vidshift.nets.drawn import random_network
from vidshift.pixels import official_pixels
from vidshift.run import Run
from vidshift.tasks import SINGLE_LABEL


class NetworkToExport(NamedTuple):
    """A float32 model, and the `model`, `input`, `classes` of a checkpoint's description."""

    name: str
    model: nnx.Module
    description: Description

    @property
    def channels(self) -> int:
        """Channels of the frames that the file takes, before normalisation."""
        differences = self.description.input.modality == "rgb_diff"
        return self.model.in_channels + 3 * differences

    def prepare(self) -> Callable[[jax.Array], jax.Array]:
        """Returns the function from pixels to what the network takes."""
        return self.description.input.normalise("float32")


def of_run(run: str, which: str) -> NetworkToExport:
    """Opens the network of a run or checkpoint, computing in float32.

    Raises:
      CheckpointError: nothing complete is there.
    """
    opened = Run.open(run, which)
    return NetworkToExport(
        opened.description.name, opened.network(dtype="float32"), opened.description
    )


def of_name(name: str, *, num_classes: int, num_frames: int) -> NetworkToExport:
    """Builds a network by its name on the command line, with random weights.

    Raises:
      ValueError: there is none of that name.
    """
    network = names.parse(name)
    pixels = official_pixels(network.backbone, bgr=False)
    return NetworkToExport(
        network.name,
        random_network(
            network.abstract(num_classes=num_classes, num_frames=num_frames)
        ),
        Description(
            {"dtype": "float32"},
            Input(num_frames=num_frames, **pixels._asdict()),
            tuple(map(str, range(num_classes))),
            SINGLE_LABEL,
            Config(),
        ),
    )
