"""A3D's train step: the full network and some sub-networks, one update for all.

A step runs one program for the full network, one for each sub-network it draws, and one
for the update. They are compiled one by one before the first step, never by pairs, so
their number is that of the sub-networks in the grid. A width between two of the grid is
run by the wider one's program, with masks: it needs no program of its own.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidshift.adaptive.distill import distillation
from vidshift.adaptive.masked import channels, check_masks, mask
from vidshift.adaptive.sampling import Drawn, SubNetworkSampling, sampling
from vidshift.adaptive.subnetwork import Narrow, SubNetwork
from vidshift.command_line.progress import Progress
from vidshift.config import Config
from vidshift.devices.compilation_cache import Programs, shown_folder
from vidshift.layers.norm import freeze
from vidshift.nets import create, train_view
from vidshift.shifts.attention import with_temperature
from vidshift.tasks import SINGLE_LABEL, Task
from vidshift.training.state import Batch, TrainState, make_loss, make_update

# Names of programs that are no sub-network's.
FULL, UPDATE = "full", "update"


def make_sampling(config: Config, model: dict) -> SubNetworkSampling:
    """Returns the sub-networks that a run's steps draw from.

    Raises:
      ValueError: nothing, more than there are programs for, or a network that cannot be.
    """
    adaptive = config.adaptive
    mutual = adaptive.mode == "mutual"
    full = full_network(model, config.data.crop)
    for field, given, most in (
        ("sides", adaptive.sides, full.side),
        ("frames", adaptive.frames, full.frames),
    ):
        if max(given, default=0) > most:
            raise ValueError(
                f"adaptive.{field}={given} go beyond the full network's {most}"
            )
    found = sampling(
        adaptive.widths if mutual else (1.0,),
        adaptive.sides,
        adaptive.frames,
        full=full if mutual else None,
        max_programs=adaptive.max_programs,
        draw=adaptive.width_draw if mutual else "grid",
    )
    drawn_anywhere = found.interval is not None
    if mutual and not drawn_anywhere and adaptive.random_networks > len(found.random):
        raise ValueError(
            f"adaptive.random_networks={adaptive.random_networks}, but there are "
            f"{len(found.random)} to draw from"
        )
    # One that cannot be fails here, before any is compiled.
    for width in {one.width for one in found.all()}:
        one = next(one for one in found.all() if one.width == width)
        nnx.eval_shape(lambda one=one: create(**one.of(model)))
    if drawn_anywhere:
        check_masks(model, found.narrowest[0].of(model))
    return found


def full_network(model: dict, crop: int) -> SubNetwork:
    """Returns the full network, as its tables call it.

    Args:
      model: arguments of `vidshift.create`.
      crop: side of its clips in pixels.
    """
    alpha = getattr(nnx.eval_shape(lambda: create(**model)), "alpha", 1)
    return SubNetwork(1.0, crop, model["num_frames"] // alpha)


class MutualStep:
    """`(step, state, batch) -> (state, metrics)`, as `make_train_step`'s; state is donated.

    With `mode="mutual"` the full network learns from the labels and the sub-networks from
    the full one (equation 3); their gradients are summed. With "multi_resolution" a step
    is that of the full network alone at one drawn resolution (the baseline of Table 7).

    The metrics have `subnetworks` besides, the names of those that were drawn, and
    `distillation`, the sum of their losses.

    Args:
      model: arguments of `vidshift.create`.
      config, tx, lr, prepare, temperature, task: see `make_train_step`.
      mesh: of the batch.
      say: prints a line.

    Raises:
      ValueError: options that do not go together, or sub-networks that cannot be.
    """

    def __init__(
        self,
        model: dict,
        config: Config,
        tx: optax.GradientTransformation,
        lr: optax.Schedule,
        prepare: Callable,
        *,
        temperature: optax.Schedule,
        task: Task = SINGLE_LABEL,
        mesh: Mesh,
        say: Callable[[str], None] = print,
    ):
        self.config, self.model, self.mesh, self.say = config, model, mesh, say
        self.sampling = make_sampling(config, model)
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.temperature, self.prepare, self.task = temperature, prepare, task
        self.update = make_update(tx, lr, config.optim, temperature)
        self.programs: dict = {}
        self._channels: dict[float, jax.Array] = {}

    def draw(self, step: int) -> tuple[SubNetwork | str, list[Drawn]]:
        """Draws what learns from labels in a step (from 0), and what from its answers."""
        adaptive, seed = self.config.adaptive, self.config.seed
        if adaptive.mode == "multi_resolution":
            return self.sampling.draw(seed, step, 0)[0].program, []
        return FULL, self.sampling.draw(seed, step, adaptive.random_networks)

    def __call__(self, step: int, state: TrainState, batch: Batch):
        if not self.programs:
            self.compile(state, batch)
        first, others = self.draw(step)
        weights = state.params, state.stats, state.step
        grads, stats, seen, shown = self.programs[first](*weights, batch)
        for place, one in enumerate(others, start=1):
            place = jax.device_put(np.int32(place), self.everywhere)
            grads, seen = self.programs[one.program](
                *weights, place, self.kept(one), shown, grads, seen
            )
        state, metrics = self.programs[UPDATE](state, batch, grads, stats, seen)
        drawn = [str(one.subnetwork) for one in others] if others else [str(first)]
        return state, metrics | {"subnetworks": drawn}

    def masked(self, program: SubNetwork) -> bool:
        """Returns whether a program runs narrower sub-networks than its own."""
        if self.sampling.interval is None:
            return False
        return program not in self.sampling.narrowest

    def kept(self, one: Drawn) -> jax.Array | None:
        """Returns the channels of each norm of a drawn sub-network, if they are masked."""
        if not self.masked(one.program):
            return None
        width = one.subnetwork.width
        if width not in self._channels:
            self._channels[width] = jax.device_put(
                channels(one.subnetwork.of(self.model)), self.everywhere
            )
        return self._channels[width]

    def key(self, step: jax.Array, place: jax.Array | int) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(self.config.seed), step)
        return jax.random.fold_in(key, place)

    def in_training(self, model: dict) -> nnx.Module:
        network = create(**model)
        freeze(network, self.config.norm.freeze)
        return train_view(network, group_clips=self.config.norm.group_clips)

    def learn(self, model: dict) -> Callable:
        """Builds the gradient of a network that learns from the labels."""
        network = Narrow.of(lambda: self.in_training(model))
        loss = make_loss(network.skeleton, self.prepare, self.config.optim, self.task)
        gradient = jax.grad(loss, has_aux=True)

        def run(params, stats, step, batch):
            stats = with_temperature(stats, self.temperature(step))
            grads, (stats, seen, shown) = gradient(
                params, stats, batch, self.key(step, 0)
            )
            return grads, stats, seen | {"distillation": jnp.float32(0)}, shown

        return run

    def imitate(self, one: SubNetwork) -> Callable:
        """Builds what adds a sub-network's gradient, learned from the full one."""
        network = Narrow.of(lambda: self.in_training(one.of(self.model)))
        temperature = self.config.adaptive.temperature
        least = channels(self.sampling.narrowest[0].of(self.model))

        def run(params, stats, step, place, kept, shown, grads, seen):
            def loss(params):
                # Statistics are only what a batch's own are computed around.
                model = network.merge(params, stats)
                if kept is not None:
                    mask(model, kept, least)
                logits = model(shown.clips, rngs=self.key(step, place))
                return distillation(shown.logits, logits, temperature=temperature)

            value, own = jax.value_and_grad(loss)(params)
            seen = seen | {"distillation": seen["distillation"] + value}
            return jax.tree.map(jnp.add, grads, own), seen

        return run

    def compile(self, state: TrainState, batch: Batch) -> None:
        """Compiles all programs, as many at a time as there are cores."""
        began = time.perf_counter()
        self.say(f"tracing {len(self.sampling.all())} sub-networks and the full one")
        lowered = self.lower(state, batch)
        self.say(f"compiling {len(lowered)} programs, {os.cpu_count()} at a time")
        progress = Progress("compiled", len(lowered), "programs", self.say)
        with Programs.watched() as programs, ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled = pool.map(lambda program: program.compile(), lowered.values())
            for name, program in zip(lowered, compiled, strict=True):
                self.programs[name] = program
                progress.done(len(self.programs))
        cached = f"; {programs.cached} came from the cache in {shown_folder()}"
        self.say(
            f"compiled {len(self.programs)} programs, {len(self.sampling.all())} of them "
            f"sub-networks, in {time.perf_counter() - began:.0f} s"
            + cached
            * bool(programs.cached)
        )

    def lower(self, state: TrainState, batch: Batch) -> dict:
        """Traces all programs: of each sub-network, `FULL` and `UPDATE`.

        Arguments may be of shapes alone, with shardings.
        """
        by_batch = NamedSharding(self.mesh, PartitionSpec("data"))
        state, batch = jax.tree.map(_shape, (state, batch))
        weights = state.params, state.stats, state.step

        def placed(tree, sharding):
            return jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
                tree,
            )

        if self.config.adaptive.mode == "mutual":
            learners = {FULL: self.learn(self.model)}
            imitators = {one: self.imitate(one) for one in self.sampling.all()}
        else:
            learners = {
                one: self.learn(one.of(self.model)) for one in self.sampling.all()
            }
            imitators = {}
        some = next(iter(learners.values()))
        grads, stats, seen, shown = jax.eval_shape(some, *weights, batch)
        grads, stats, seen = placed((grads, stats, seen), self.everywhere)
        shown = placed(shown, by_batch)
        place = jax.ShapeDtypeStruct((), jnp.int32)
        norms = channels(self.model).shape
        kept = placed(jax.ShapeDtypeStruct(norms, jnp.int32), self.everywhere)

        lowered = {
            name: jax.jit(
                run, out_shardings=(self.everywhere,) * 3 + (by_batch,)
            ).lower(*weights, batch)
            for name, run in learners.items()
        }
        lowered |= {
            one: jax.jit(
                run,
                out_shardings=(self.everywhere,) * 2,
                donate_argnames=("grads", "seen"),
            ).lower(
                *weights, place, kept if self.masked(one) else None, shown, grads, seen
            )
            for one, run in imitators.items()
        }
        lowered[UPDATE] = jax.jit(
            self.update, out_shardings=(self.everywhere,) * 2, donate_argnames="state"
        ).lower(state, batch, grads, stats, seen)
        return lowered


def _shape(a: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding)
