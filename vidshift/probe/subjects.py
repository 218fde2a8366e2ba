"""Networks that are probed: a run's, or one by name with the weights that training draws."""

import dataclasses
import os
import pathlib

import jax
from flax import nnx

from vidshift.checkpoints import checksums
from vidshift.config import Config, ModelConfig
from vidshift.data.sources.split import Split
from vidshift.description import Description
from vidshift.nets import BACKBONES, VideoNetwork, create
from vidshift.nets.zoo import pick
from vidshift.run import Run
from vidshift.shifts import SCHEMES


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A network to probe.

    name: as the command was given it.
    weights: what its features depend on, besides the clips.
    run: None of a network with its first weights.
    """

    name: str
    description: Description
    weights: str
    run: Run | None
    seed: int

    @classmethod
    def of(cls, name: str, config: Config, data: Split, which: str) -> "Subject":
        """Opens a run, or describes a network by its name.

        Args:
          name: a run's folder, a checkpoint, or BACKBONE/TEMPORAL.
          config: of the network by name: its clips, its options and its seed.
          data: the split that it is probed on.
          which: "best" or "last" checkpoint of a run.

        Raises:
          ValueError: there is no such run or network, or it takes other frames.
        """
        backbone, slash, temporal = name.partition("/")
        if slash and backbone in BACKBONES and not os.path.exists(name):
            pick("scheme", temporal, SCHEMES)
            options = config.model.options()
            if (config.model.backbone, config.model.temporal) != (backbone, temporal):
                options = {}  # of another network
            model = ModelConfig(
                backbone=backbone,
                temporal=temporal,
                dtype=config.model.dtype,
                **{"dropout": config.model.dropout} | options,
            )
            described = Description.of(dataclasses.replace(config, model=model), data)
            return cls(name, described, f"seed {config.seed}", None, config.seed)
        run = Run.open(name, which)
        shown = run.description.input
        if (shown.modality, shown.stack) != (data.modality, data.stack):
            raise ValueError(
                f"{name} takes {shown.modality} of {shown.stack}, and the data are "
                f"{data.modality} of {data.stack}"
            )
        weights = checksums.digest(run.checkpoint, "weights")
        return cls(name, run.description, weights, run, config.seed)

    def network(self) -> VideoNetwork:
        """Builds the network in evaluation mode."""
        if self.run is not None:
            return self.run.network()
        model = dict(self.description.model)
        make = lambda: create(**model, rngs=nnx.Rngs(self.seed))
        # One program: drawn eagerly, each shape would compile one.
        graphdef = nnx.split(nnx.eval_shape(make))[0]
        return nnx.merge(graphdef, jax.jit(lambda: nnx.state(make()))())

    def folder(self, out: pathlib.Path | None) -> pathlib.Path:
        """Returns where features and fine-tuned runs are kept."""
        if out is not None:
            return out / self.name.strip("/").replace("/", "_")
        if self.run is None:
            raise ValueError(f"{self.name} has no folder: give --out")
        return self.run.folder / "evaluation" / "probe"

    def fine_tuning(self, config: Config, epochs: float) -> Config:
        """Returns the config that trains the network on the data of another."""
        model = dict(self.description.model)
        known = {field.name for field in dataclasses.fields(ModelConfig)}
        own = {
            field.name: getattr(self.description.input, field.name)
            for field in dataclasses.fields(self.description.input)
            if hasattr(config.data, field.name)
        }
        return dataclasses.replace(
            config,
            model=ModelConfig(**{k: v for k, v in model.items() if k in known}),
            data=dataclasses.replace(config.data, **own),
            init="" if self.run is None else str(self.run.checkpoint),
            epochs=epochs,
            steps=None,
            differences=(),
        )
