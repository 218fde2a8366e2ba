"""Train steps of small networks, on batches of noise."""

from collections.abc import Callable

import numpy as np
from flax import nnx

from tests.support.networks import random_network
from vidshift import train_view
from vidshift.config import OptimConfig
from vidshift.nets.weights import split
from vidshift.training.optimizer import make_optimizer, parameter_kinds
from vidshift.training.state import make_train_step, new_state


def noise(clips: int, frames: int, side: int, *, seed: int = 5) -> dict:
    """Returns a batch of normalised clips and labels of 4 classes."""
    rng = np.random.default_rng(seed)
    return {
        "video": rng.normal(size=(clips, frames, side, side, 3)).astype(np.float32),
        "label": rng.integers(0, 4, clips).astype(np.int32),
        "fingerprint": rng.integers(0, 2**32, (clips, 2), np.uint32),
        "stop": np.zeros(clips, bool),
    }


def clips_and_labels(batch: dict) -> tuple:
    """Prepares a batch of `noise` for the network."""
    return batch["video"], batch["label"]


class TrainRun:
    """A network in training mode (`skeleton`), its `state`, and its jitted `step`."""

    def __init__(
        self,
        make: Callable[[], nnx.Module],
        config: OptimConfig,
        *,
        lr: float = 0.1,
        temperature: Callable = lambda step: 1.0,
    ):
        model = random_network(make)
        kinds = parameter_kinds(model)
        tx = make_optimizer(config, kinds, lambda step: lr, steps_per_epoch=1)
        self.skeleton, params, stats = split(train_view(model))
        self.state = new_state(params, stats, tx, ema=config.ema is not None)
        self.step = make_train_step(
            self.skeleton,
            tx,
            lambda step: lr,
            clips_and_labels,
            config,
            seed=3,
            temperature=temperature,
        )
