"""A trained network from its run's directory, ready to call."""

import dataclasses
import functools
import json
import logging
import os
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift.adaptive import table
from vidshift.adaptive.switch import Adaptive
from vidshift.data.device.on_device import normalise
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View, clip_from_video
from vidshift.nets import create
from vidshift.nets.weights import Arrays, Skeleton, split
from vidshift.shifts.attention import harden, undecided
from vidshift.training import checkpoints
from vidshift.training.config import Config

logger = logging.getLogger("vidshift")

# Fields of `View` that hold in evaluation too.
SEEN = (
    *("num_frames", "resize", "crop", "sampling", "frame_stride", "stride_fps"),
    "pixel_aspect",
)

# Folder of a run with its table of budgets.
BUDGETS = "budgets"


def describe_model(config: Config, *, num_classes: int, channels: int = 3) -> dict:
    """The arguments of `vidshift.create` that a config asks for."""
    return {
        "backbone": config.model.backbone,
        "temporal": config.model.temporal,
        "num_classes": num_classes,
        "num_frames": config.data.num_frames,
        "dtype": config.model.dtype,
        **({"in_channels": channels} if channels != 3 else {}),
        **config.model.options(),
    }


def describe(config: Config, data: Split) -> dict:
    """What a checkpoint says of its network and of how clips are prepared for it.

    It is what reading the checkpoint's JSON gives back: lists for tuples.
    """
    description = {
        "model": describe_model(
            config, num_classes=len(data.classes), channels=data.channels
        ),
        "input": {
            **{name: getattr(config.data, name) for name in SEEN},
            "mean": list(config.data.mean),
            "std": list(config.data.std),
            "modality": data.modality,
            "stack": data.stack,
        },
        "classes": list(data.classes),
        "multi_label": data.multi_label,
        "tasks": dict(data.tasks),
        "config": dataclasses.asdict(config),
    }
    return json.loads(json.dumps(description))


def eval_view(seen: dict) -> View:
    """What a network is shown in evaluation.

    Args:
      seen: the `input` of a checkpoint's description; those from before there were other
        samplings or pixel aspects do not say theirs.
    """
    return View(**{name: seen[name] for name in SEEN if name in seen})


def normalisation(description: dict) -> dict:
    """The options of `normalise` and `prepare` for a checkpoint's network.

    Args:
      description: of the checkpoint; those from before there were other modalities do
        not say theirs.
    """
    seen = description["input"]
    return {
        "mean": seen["mean"],
        "std": seen["std"],
        "dtype": jnp.dtype(description["model"]["dtype"]),
        "modality": seen.get("modality", "rgb"),
    }


def for_evaluation(
    model: dict, *, soft: bool = False
) -> tuple[Skeleton, Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]]:
    """What is evaluated of a network that was trained.

    A RubiksNet with attention is hardened: its attention becomes whole shifts.

    Args:
      model: arguments of `vidshift.create`.
      soft: leave the attention as it was trained.

    Returns:
      The network without its arrays, and what makes them of the trained ones.
    """
    as_evaluated = lambda params, stats: (params, stats)
    if has_attention(model) and not soft:
        as_evaluated = functools.partial(harden, causal=model.get("causal", False))
        model = model | {"hardened": True}
        model = {k: v for k, v in model.items() if k != "attention_init"}
    skeleton, _, _ = split(nnx.eval_shape(lambda: create(**model)))
    return skeleton, as_evaluated


def has_attention(model: dict) -> bool:
    """Whether a network (arguments of `vidshift.create`) has attention to harden."""
    return model.get("variant") == "attention" and not model.get("hardened")


def hardening(model: dict, params: Arrays, stats: Arrays) -> dict:
    """Figures of a report on what hardening makes of a network; {} without attention.

    `moved_channels` is the share that move, the mean over layers (equation 8 of the
    paper); `attention_channels` and `undecided_channels` are numbers over all layers.
    """
    if not has_attention(model):
        return {}
    _, hardened = harden(params, stats, causal=model.get("causal", False))
    distances = [np.asarray(a) for n, a in hardened.items() if n.endswith(".distance")]
    return {
        "moved_channels": float(np.mean([(d != 0).mean() for d in distances])),
        "attention_channels": sum(d.size for d in distances),
        "undecided_channels": sum(undecided(params, stats).values()),
    }


def load(
    run: str | os.PathLike,
    *,
    which: str = "best",
    soft: bool = False,
    dtype: str | None = None,
) -> nnx.Module:
    """The network of a run or checkpoint, in evaluation mode.

    Args:
      run: a run's directory, one checkpoint in it, or a converted checkpoint.
      which: "best" by validation top-1, or "last".
      soft: leave a RubiksNet's attention as it was trained; else it is hardened, and
        a warning is logged where channels had not decided.
      dtype: compute type; None is the run's own.

    Raises:
      CheckpointError: nothing complete is there.
    """
    checkpoint = checkpoints.find(run, which)
    model = checkpoints.read_description(checkpoint)["model"]
    if dtype is not None:
        model = model | {"dtype": dtype}
    skeleton, as_evaluated = for_evaluation(model, soft=soft)
    weights = checkpoints.read_weights(checkpoint)
    changed = 0 if soft else hardening(model, *weights).get("undecided_channels", 0)
    if changed:
        logger.warning(
            "%s: hardened, though %d channels had not decided on a shift: they are not "
            "what they were in training (soft=True leaves them so)",
            checkpoint,
            changed,
        )
    return skeleton.merge(*jax.tree.map(jnp.asarray, as_evaluated(*weights)))


def load_adaptive(run: str | os.PathLike) -> Adaptive:
    """An A3D run's network at every budget: `load_adaptive(run).at(gflops=10)(clips)`.

    Raises:
      CheckpointError: nothing complete is there.
      ValueError: `python -m vidshift.budgets` has not made its table, or made it of
        another checkpoint than is left.
    """
    folder = pathlib.Path(run).expanduser() / BUDGETS
    step = table.read(folder).checkpoint
    checkpoint = checkpoints.find(folder.parent / checkpoints.DIRECTORY / step)
    model = checkpoints.read_description(checkpoint)["model"]
    return Adaptive(model, checkpoints.read_weights(checkpoint)[0], folder)


def read_clip(
    video: str | os.PathLike | bytes,
    run: str | os.PathLike,
    *,
    clips: int = 1,
    crops: int | str = 1,
    full: bool = False,
) -> jax.Array:
    """A video file as the run's network takes it: `[views, T, h, w, 3]`.

    Frames, size and normalisation are those of the run's evaluation.

    Args:
      video: path, or bytes of the file.
      run: a run or checkpoint.
      clips: clips of the video.
      crops: 1, 3 or 10 crops of each, or "whole".
      full: crops of the whole short side.

    Raises:
      ValueError: the run's network takes optical flow; clips or crops not supported.
      VideoError: the file is missing, empty, damaged or not a video.
      CheckpointError: `run` is no run or checkpoint.
    """
    description = checkpoints.read_description(checkpoints.find(run))
    seen = description["input"]
    # Checkpoints from before there were others do not say.
    modality, stack = seen.get("modality", "rgb"), seen.get("stack", 1)
    if modality == "flow":
        raise ValueError(
            f"{run} takes optical flow, which `python -m vidshift.data.prepare` computes; "
            "a video file is not enough"
        )
    view = eval_view(seen)
    if full:
        view = dataclasses.replace(view, crop=view.resize)
    more = stack if modality == "rgb_diff" else 0
    if not isinstance(video, bytes):
        video = os.path.expanduser(video)
    frames = clip_from_video(video, view, clips=clips, crops=crops, more=more)
    as_seen = normalisation(description) | {"dtype": jnp.float32}
    return normalise(frames, **as_seen)


def class_names(run: str | os.PathLike) -> list[str]:
    """The names of a run's classes, in the order of its logits."""
    return checkpoints.read_description(checkpoints.find(run))["classes"]


def tasks(run: str | os.PathLike) -> dict[str, int]:
    """How many of a run's classes are each task's, in order; {} of a single task."""
    return checkpoints.read_description(checkpoints.find(run)).get("tasks", {})


def is_multi_label(run: str | os.PathLike) -> bool:
    """Whether the run's clips have any number of labels: a sigmoid for each class."""
    description = checkpoints.read_description(checkpoints.find(run))
    # Checkpoints from before there were such runs do not say.
    return description.get("multi_label", False)
