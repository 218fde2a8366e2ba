"""Runs of small networks that were never trained, and videos for them."""

import functools
import json

import numpy as np

from tests.support.networks import random_network
from vidshift import checkpoints, cli, create
from vidshift.config import Config, DataConfig, ModelConfig
from vidshift.data import Split, encode
from vidshift.description import Description
from vidshift.nets.weights import split

CLASSES = ("left", "right", "up", "down")
SIDE = 16


def write_run(
    directory, *, backbone="resnet_tiny", data=None, classes=CLASSES, **model
):
    """A run whose network has random weights; returns its directory."""
    config = Config(
        model=ModelConfig(backbone=backbone, **{"temporal": "tsm"} | model),
        data=DataConfig(**{"num_frames": 4, "resize": 20, "crop": SIDE} | (data or {})),
    )
    description = Description.of(config, Split(source=[], classes=classes))
    network = random_network(functools.partial(create, **description.model))
    _, params, stats = split(network)
    checkpoints.write_weights(directory, params, stats, description.to_json())
    return directory


def pictures(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Frames that differ, and of which a codec keeps what there is."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (number, 3, 4, 3), np.uint8)
    return small.repeat(height // 3, 1).repeat(width // 4, 2)


def write_video(path, number: int = 12, *, fps: float = 25.0):
    path.write_bytes(encode(pictures(number), fps=fps))
    return path


def call(capsys, *arguments, code=0, **options):
    """-> the JSON line of `vidshift.stream`, and the lines of stderr."""
    assert cli.run(["stream", *map(str, arguments)], **options) == code
    out, err = capsys.readouterr()
    return json.loads(out) if out else None, err.splitlines()


def shares(figures) -> dict[str, float]:
    return {guess["class"]: guess["share"] for guess in figures["top"]}


def softmax(logits) -> dict[str, float]:
    powers = np.exp(logits - logits.max())
    return dict(zip(CLASSES, (powers / powers.sum()).tolist(), strict=True))
