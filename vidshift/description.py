"""The description in a checkpoint: which network it is and how clips are prepared for it."""

import dataclasses
import functools
import json
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidshift import checkpoints, tasks
from vidshift.checkpoints import CheckpointError
from vidshift.config import Config
from vidshift.data.device.on_device import normalise
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View
from vidshift.tasks import Task

# uint8 pixels to what a network takes.
Normalise = Callable[[jax.Array | np.ndarray], jax.Array]


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """Clips as a network takes them. Fields that `View` has mean what they mean there."""

    num_frames: int
    resize: int
    crop: int
    # Per channel, of pixels in [0, 1].
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sampling: str = "segments"
    frame_stride: int = 8
    stride_fps: float | None = 30.0
    pixel_aspect: str = "ignore"
    # "rgb", "flow" or "rgb_diff", and how many pictures of it go into one frame.
    modality: str = "rgb"
    stack: int = 1

    @property
    def following(self) -> int:
        """Number of the video's next frames that lie in each frame's channels."""
        return self.stack if self.modality == "rgb_diff" else 0

    def view(self) -> View:
        """Returns the view of a clip in evaluation."""
        return View(**_shared(self, View))

    def normalise(self, dtype: str) -> Normalise:
        """Returns the function from uint8 pixels to what the network takes.

        Args:
          dtype: of the result.
        """
        return functools.partial(normalise, **self.normalisation(dtype))

    def normalisation(self, dtype: str) -> dict[str, Any]:
        """Returns the options of `normalise` and `prepare`."""
        return {
            "mean": self.mean,
            "std": self.std,
            "dtype": jnp.dtype(dtype),
            "modality": self.modality,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """A network, the input that it takes, its classes, and the config that trained it."""

    # Arguments of `vidshift.create`.
    model: Mapping[str, Any]
    input: Input
    # Names of the classes, in the order of the logits.
    classes: tuple[str, ...]
    task: Task
    # Of the training; a converted checkpoint has the defaults.
    config: Config

    @classmethod
    def of(cls, config: Config, data: Split) -> "Description":
        """Describes the network that a config trains on a split."""
        return cls(
            model_arguments(
                config, num_classes=len(data.classes), channels=data.channels
            ),
            Input(
                modality=data.modality,
                stack=data.stack,
                **_shared(config.data, Input, but=("modality", "stack")),
            ),
            tuple(data.classes),
            data.task,
            # A run has one recipe; what another would have is in the code.
            dataclasses.replace(config, differences=()),
        )

    @classmethod
    def read(cls, checkpoint: pathlib.Path) -> "Description":
        """Reads a checkpoint's description.

        Raises:
          CheckpointError: it is missing, damaged or of another form.
        """
        return cls.from_json(checkpoints.read_description(checkpoint), str(checkpoint))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], source: str) -> "Description":
        """Checks and types what `to_json` returned.

        Args:
          fields: of the JSON object.
          source: what it was read from, for errors.
        """
        try:
            return cls(
                fields["model"],
                _typed(Input, fields["input"]),
                tuple(fields["classes"]),
                tasks.from_json(fields),
                _typed(Config, fields["config"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the description in {source} is not of this version's form: {error}"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Returns JSON types alone: lists for tuples, dicts for dataclasses."""
        fields = {
            "model": dict(self.model),
            "input": dataclasses.asdict(self.input),
            "classes": self.classes,
            **self.task.to_json(),
            "config": dataclasses.asdict(self.config),
        }
        return json.loads(json.dumps(fields))

    @property
    def name(self) -> str:
        """The network's `BACKBONE/TEMPORAL`."""
        return f"{self.model['backbone']}/{self.model['temporal']}"

    @property
    def normalise(self) -> Normalise:
        """The function from uint8 pixels to what the network takes."""
        return self.input.normalise(self.model["dtype"])

    @property
    def normalisation(self) -> dict[str, Any]:
        """Options of `normalise` and `prepare`."""
        return self.input.normalisation(self.model["dtype"])


def model_arguments(config: Config, *, num_classes: int, channels: int = 3) -> dict:
    """Returns the arguments of `vidshift.create` that a config asks for."""
    return {
        "backbone": config.model.backbone,
        "temporal": config.model.temporal,
        "num_classes": num_classes,
        "num_frames": config.data.num_frames,
        "dtype": config.model.dtype,
        **({"in_channels": channels} if channels != 3 else {}),
        **config.model.options(),
    }


def _shared(source: Any, kind: type, but: tuple[str, ...] = ()) -> dict:
    """Returns the fields of a dataclass `kind` that `source` has too."""
    names = [f.name for f in dataclasses.fields(kind) if f.name not in but]
    return {name: getattr(source, name) for name in names if hasattr(source, name)}


def _typed(kind: Any, value: Any) -> Any:
    """Converts JSON types into those of an annotation: dataclasses and tuples."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = {field.name for field in dataclasses.fields(kind)}
        if names != value.keys():
            raise KeyError(f"{kind.__name__} has other fields: {names ^ value.keys()}")
        return kind(**{name: _typed(hints[name], value[name]) for name in names})
    if isinstance(value, list) and _has_tuple(kind):
        return tuple(_typed(Any, item) for item in value)
    return value


def _has_tuple(kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(map(_has_tuple, typing.get_args(kind)))
    return kind is tuple or typing.get_origin(kind) is tuple
