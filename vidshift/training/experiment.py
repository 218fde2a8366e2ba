"""An experiment: a network with its optimiser, schedules and steps, from a config and data.

The trainer builds it with arrays, `vidshift.fit` from shapes alone.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from flax import nnx
from jax.sharding import Mesh

from vidshift.config import Config
from vidshift.data.device.on_device import prepare
from vidshift.data.sources.split import Split
from vidshift.description import Description
from vidshift.evaluation import evaluate
from vidshift.evaluation.protocols import Protocol
from vidshift.layers.norm import freeze
from vidshift.nets import create, train_view
from vidshift.nets.hardening import for_evaluation, hardening
from vidshift.nets.weights import Arrays, split
from vidshift.training import attention, optimizer
from vidshift.training.mutual import MutualStep
from vidshift.training.state import Batch, TrainState, make_train_step, new_state


@dataclasses.dataclass(frozen=True)
class Experiment:
    config: Config
    data: Split
    # In evaluation mode; of shapes alone if it was built without `rngs`.
    network: nnx.Module
    # Batch -> (clips `[B, T, H, W, C]` as the network takes them, labels).
    prepare: Callable[[Batch], tuple[jax.Array, jax.Array]]
    # Learning rate and the attention's temperature, by step.
    lr: optax.Schedule
    temperature: optax.Schedule
    tx: optax.GradientTransformation
    # None for a network that no config describes.
    description: Description | None = None

    @classmethod
    def of(
        cls,
        config: Config,
        data: Split,
        *,
        steps: int,
        steps_per_epoch: float,
        rngs: nnx.Rngs | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> "Experiment":
        """Builds an experiment.

        Args:
          config: of the experiment.
          data: the split that is trained on, or one without clips that has its facts.
          steps: of the whole run.
          steps_per_epoch: of the data; a fraction where the last batch is not full.
          rngs: draws the first weights; None builds from shapes alone.
          model: arguments of `vidshift.create` in place of the config's.

        Raises:
          ValueError: a field that does not fit the data or the network.
        """
        data.task.check(config)
        description = Description.of(config, data)
        if model is not None:
            description = dataclasses.replace(description, model=model)
        make = functools.partial(create, **description.model)
        return cls.of_network(
            config,
            data,
            nnx.eval_shape(make) if rngs is None else make(rngs=rngs),
            functools.partial(
                prepare,
                flip_labels=data.flip_labels,
                task=data.task,
                **description.normalisation,
            ),
            steps=steps,
            steps_per_epoch=steps_per_epoch,
            description=description,
        )

    @classmethod
    def of_network(
        cls,
        config: Config,
        data: Split,
        network: nnx.Module,
        prepare: Callable,
        *,
        steps: int,
        steps_per_epoch: float,
        description: Description | None = None,
    ) -> "Experiment":
        """Builds an experiment around a network that is there already."""
        freeze(network, config.norm.freeze)
        length = {"steps": steps, "steps_per_epoch": steps_per_epoch}
        lr = optimizer.schedule(config.optim, batch_size=config.batch_size, **length)
        kinds = optimizer.parameter_kinds(network)
        return cls(
            config,
            data,
            network,
            prepare,
            lr,
            attention.temperature(config.optim.attention, **length),
            optimizer.make_optimizer(
                config.optim, kinds, lr, steps_per_epoch=steps_per_epoch
            ),
            description,
        )

    def weights(self) -> tuple[Arrays, Arrays]:
        """Returns the network's first (parameters, statistics)."""
        _, params, stats = split(self.network)
        return params, stats

    def new_state(self, params: Arrays, stats: Arrays) -> TrainState:
        return new_state(params, stats, self.tx, ema=self.config.optim.ema is not None)

    def abstract_state(self) -> TrainState:
        """Returns the shapes of the state."""
        return jax.eval_shape(self.new_state, *self.weights())

    def make_step(self):
        """Returns the jitted `(state, batch) -> (state, metrics)` of the full network."""
        norm = self.config.norm
        skeleton, _, _ = split(train_view(self.network, group_clips=norm.group_clips))
        return make_train_step(
            skeleton,
            self.tx,
            self.lr,
            self.prepare,
            self.config.optim,
            seed=self.config.seed,
            temperature=self.temperature,
            task=self.data.task,
        )

    def train_step(self, devices: Mesh, say: Callable[[str], None]) -> Callable:
        """Returns `(step, state, batch) -> (state, metrics)`; the state is donated."""
        if self.config.adaptive.mode == "off":
            one_step = self.make_step()
            return lambda step, state, batch: one_step(state, batch)
        return MutualStep(
            dict(self.description.model),
            self.config,
            self.tx,
            self.lr,
            self.prepare,
            task=self.data.task,
            temperature=self.temperature,
            mesh=devices,
            say=say,
        )

    def eval_step(self, devices: Mesh, protocol: Protocol) -> tuple[Callable, Callable]:
        """Returns the step that evaluates, and a function of the trained weights to its."""
        skeleton, as_evaluated = for_evaluation(dict(self.description.model))
        step = evaluate.make_eval_step(
            skeleton,
            self.description.normalise,
            devices,
            protocol,
            view=self.config.data.view(),
            data=self.data,
        )
        return step, as_evaluated

    def scorer(
        self,
        devices: Mesh,
        protocol: Protocol,
        open_split: Callable[[str], Split],
        **options,
    ) -> Callable[[str, Arrays, Arrays], dict | None]:
        """Returns `(split's name, parameters, statistics) -> figures`, or None if stopped.

        Args:
          open_split: name of a split to the split.
          **options: of `evaluate.score`.
        """
        step, as_evaluated = self.eval_step(devices, protocol)

        def score(name: str, params: Arrays, stats: Arrays) -> dict | None:
            split = open_split(name)
            scores = evaluate.score(
                split,
                step,
                as_evaluated(params, stats),
                devices,
                view=self.config.data.view(),
                protocol=protocol,
                batch_size=self.config.eval_batch_size,
                **options,
            )
            if scores is None:
                return None
            if not scores.labelled:
                raise ValueError(f"the clips of {name} have no labels to score")
            return scores.summary(split.reversed_labels) | hardening(
                dict(self.description.model), params, stats
            )

        return score
