"""The training state, and the step that maps one state and batch to the next."""

import functools
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from vidshift.config import OptimConfig
from vidshift.devices.in_turn import in_turn
from vidshift.nets.weights import Arrays, Skeleton, named_arrays
from vidshift.shifts.attention import attention_layers, shifted_shares, with_temperature
from vidshift.tasks import SINGLE_LABEL, Task
from vidshift.training.attention import budget_loss
from vidshift.training.gradient_norm import gradient_norm

Batch = dict[str, jax.Array]


class TrainState(NamedTuple):
    """Plain arrays; `ema` is `{}` or the averaged parameters and statistics."""

    step: jax.Array  # int32, updates done
    params: Arrays
    stats: Arrays
    opt: optax.OptState
    ema: Arrays

    def evaluated(self) -> tuple[Arrays, Arrays]:
        """Returns (parameters, statistics) to evaluate: the average where one is kept."""
        if not self.ema:
            return self.params, self.stats
        return (
            {k: self.ema[k] for k in self.params},
            {k: self.ema[k] for k in self.stats},
        )


def new_state(
    params: Arrays, stats: Arrays, tx: optax.GradientTransformation, *, ema: bool
) -> TrainState:
    average = jax.tree.map(jnp.copy, params | stats) if ema else {}
    return TrainState(jnp.int32(0), params, stats, tx.init(params), average)


def params_sha256(params: Arrays) -> str:
    """Hashes all parameters: names, types, shapes and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(params):
        array = np.asarray(params[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def clips_fingerprint(fingerprints: jax.Array) -> jax.Array:
    """Computes one `[2]` uint32 from a batch's `[B, 2]`, dependent on their order.

    Computed inside the step, so that it covers the clips of all processes.
    """
    place = 2 * jnp.arange(fingerprints.shape[0], dtype=jnp.uint32) + 1
    return (fingerprints * place[:, None]).sum(0, dtype=jnp.uint32)


class Outputs(NamedTuple):
    """Outputs of a forward pass in training, besides the loss."""

    clips: jax.Array  # normalised, [B, T, H, W, C]
    logits: jax.Array  # [B, classes]


def make_loss(
    skeleton: Skeleton,
    prepare: Callable[[Batch], tuple[jax.Array, jax.Array]],
    config: OptimConfig,
    task: Task = SINGLE_LABEL,
) -> Callable:
    """`(params, stats, batch, key) -> (loss, (stats, seen, Outputs))`, to differentiate.

    `seen` are the metrics of the forward pass; see `make_train_step` for the rest.
    """

    def loss_fn(params, stats, batch, key):
        model = skeleton.merge(params, stats)
        clips, labels = prepare(batch)
        logits = model(clips, rngs=key)
        loss, top1 = task.loss(logits, labels, label_smoothing=config.label_smoothing)
        seen = {"top1": top1}
        if attention_layers(model):
            soft, hard = shifted_shares(model)
            loss += budget_loss(config.attention, soft)
            seen |= {"attention_moved": soft.mean(), "moved_channels": hard}
        seen["loss"] = loss
        stats = named_arrays(model, nnx.BatchStat)
        return loss, (stats, seen, Outputs(clips, logits))

    return loss_fn


def make_update(
    tx: optax.GradientTransformation,
    lr: optax.Schedule,
    config: OptimConfig,
    temperature: optax.Schedule,
) -> Callable:
    """`(state, batch, grads, stats, seen) -> (state, metrics)`: what follows gradients."""

    def update(state: TrainState, batch: Batch, grads, stats, seen):
        now = temperature(state.step)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = {}
        if config.ema is not None:
            ema = optax.incremental_update(params | stats, state.ema, 1 - config.ema)
            ema = with_temperature(ema, now)  # no result of training: not averaged
        metrics = seen | {
            "lr": lr(state.step),
            "grad_norm": gradient_norm(grads),
            "clips": clips_fingerprint(batch["fingerprint"]),
            "stop": batch["stop"].any(),
        }
        if "moved_channels" in seen:
            metrics["temperature"] = now
        return TrainState(state.step + 1, params, stats, opt, ema), metrics

    return update


def make_train_step(
    skeleton: Skeleton,
    tx: optax.GradientTransformation,
    lr: optax.Schedule,
    prepare: Callable[[Batch], tuple[jax.Array, jax.Array]],
    config: OptimConfig,
    *,
    seed: int,
    temperature: optax.Schedule,
    task: Task = SINGLE_LABEL,
):
    """Builds the jitted `(state, batch) -> (state, metrics)`; the state is donated.

    Args:
      skeleton: the model in training mode.
      prepare: batch to (normalised clips `[B, T, H, W, C]`, labels of the kind `task`).
      config: label smoothing, accumulation, the moving average and the attention's
        budget are read here.
      temperature: of attention shifts, by step.
      task: kind of label.

    The metrics are `loss`, `top1` (fraction of clips that are right: `tasks`), `lr`, `grad_norm`
    (before clipping), `clips`, a `[2]` uint32, and `stop`, whether any process asked.
    With attention shifts also `temperature`, `attention_moved` (of equation 8, the mean
    over layers), and `moved_channels`, how many channels' largest tap is another
    frame's: the share in each layer, `[layers]`.
    """
    parts = config.accumulate

    grad_fn = jax.grad(make_loss(skeleton, prepare, config, task), has_aux=True)
    update = make_update(tx, lr, config, temperature)

    def whole_batch(params, stats, batch, key):
        grads, (stats, seen, _) = grad_fn(params, stats, batch, key)
        return seen, stats, grads

    def in_parts(params, stats, batch, key):
        """Gives part j rows j, j + parts, ...: each is spread over all devices."""
        cut = jax.tree.map(
            lambda a: a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1), batch
        )

        def add(carry, index):
            stats, total = carry
            take = functools.partial(jax.lax.dynamic_index_in_dim, keepdims=False)
            part = jax.tree.map(lambda a: take(a, index), cut)
            seen, stats, grads = whole_batch(
                params, stats, part, jax.random.fold_in(key, index)
            )
            return (stats, jax.tree.map(jnp.add, total, (seen, grads))), None

        first = jax.tree.map(lambda a: a[0], cut)
        seen, _, grads = jax.eval_shape(whole_batch, params, stats, first, key)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), (seen, grads))
        (stats, total), _ = in_turn(add, (stats, zeros), parts)
        seen, grads = jax.tree.map(lambda a: a / parts, total)
        return seen, stats, grads

    @functools.partial(jax.jit, donate_argnames="state")
    def train_step(state: TrainState, batch: Batch):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        compute = whole_batch if parts == 1 else in_parts
        before = with_temperature(state.stats, temperature(state.step))
        seen, stats, grads = compute(state.params, before, batch, key)
        return update(state, batch, grads, stats, seen)

    return train_step
