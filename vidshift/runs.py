"""A trained network from its run's directory, ready to call."""

import dataclasses
import json
import os

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.data.on_device import normalise
from vidshift.data.split import Split
from vidshift.data.view import View, clip_from_video
from vidshift.nets import create
from vidshift.nets.weights import split
from vidshift.training import checkpoints
from vidshift.training.config import Config


def describe_model(config: Config, *, num_classes: int) -> dict:
    """The arguments of `vidshift.create` that a config asks for."""
    return {
        "backbone": config.model.backbone,
        "temporal": config.model.temporal,
        "num_classes": num_classes,
        "num_frames": config.data.num_frames,
        "dtype": config.model.dtype,
        **config.model.options(),
    }


def describe(config: Config, data: Split) -> dict:
    """What a checkpoint says of its network and of how clips are prepared for it.

    It is what reading the checkpoint's JSON gives back: lists for tuples.
    """
    description = {
        "model": describe_model(config, num_classes=len(data.classes)),
        "input": {
            "num_frames": config.data.num_frames,
            "resize": config.data.resize,
            "crop": config.data.crop,
            "mean": list(config.data.mean),
            "std": list(config.data.std),
        },
        "classes": list(data.classes),
        "config": dataclasses.asdict(config),
    }
    return json.loads(json.dumps(description))


def load(run: str | os.PathLike, *, which: str = "best") -> nnx.Module:
    """The network of a run or checkpoint, in evaluation mode.

    Args:
      run: a run's directory, one checkpoint in it, or a converted checkpoint.
      which: "best" by validation top-1, or "last".

    Raises:
      CheckpointError: nothing complete is there.
    """
    checkpoint = checkpoints.find(run, which)
    model = checkpoints.read_description(checkpoint)["model"]
    skeleton, _, _ = split(nnx.eval_shape(lambda: create(**model)))
    weights = checkpoints.read_weights(checkpoint)
    return skeleton.merge(*jax.tree.map(jnp.asarray, weights))


def read_clip(
    video: str | os.PathLike | bytes,
    run: str | os.PathLike,
    *,
    clips: int = 1,
    crops: int = 1,
) -> jax.Array:
    """A video file as the run's network takes it: `[clips * crops, T, H, W, 3]`.

    Frames, size and normalisation are those of the run's evaluation.

    Raises:
      VideoError: the file is missing, empty, damaged or not a video.
      CheckpointError: `run` is no run or checkpoint.
    """
    seen = checkpoints.read_description(checkpoints.find(run))["input"]
    view = View(seen["num_frames"], seen["resize"], seen["crop"])
    frames = clip_from_video(video, view, clips=clips, crops=crops)
    return normalise(frames, mean=seen["mean"], std=seen["std"])


def class_names(run: str | os.PathLike) -> list[str]:
    """The names of a run's classes, in the order of its logits."""
    return checkpoints.read_description(checkpoints.find(run))["classes"]
