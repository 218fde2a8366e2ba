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

from vidshift.nets.weights import Arrays, Skeleton, named_arrays
from vidshift.training.config import OptimConfig

Batch = dict[str, jax.Array]


class TrainState(NamedTuple):
    """Plain arrays; `ema` is `{}` or the averaged parameters and statistics."""

    step: jax.Array  # int32, updates done
    params: Arrays
    stats: Arrays
    opt: optax.OptState
    ema: Arrays

    def evaluated(self) -> tuple[Arrays, Arrays]:
        """The (parameters, statistics) to evaluate: the average where one is kept."""
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
    """Hash of all parameters: names, types, shapes and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(params):
        array = np.asarray(params[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def cross_entropy(logits, labels, *, label_smoothing: float):
    """Mean over the batch; smoothing mixes the target with the uniform distribution."""
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    targets = optax.smooth_labels(targets, label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def clips_fingerprint(fingerprints: jax.Array) -> jax.Array:
    """One `[2]` uint32 for a batch's `[B, 2]`, that depends on their order.

    Computed inside the step, so that it covers the clips of all processes.
    """
    place = 2 * jnp.arange(fingerprints.shape[0], dtype=jnp.uint32) + 1
    return (fingerprints * place[:, None]).sum(0, dtype=jnp.uint32)


def make_train_step(
    skeleton: Skeleton,
    tx: optax.GradientTransformation,
    lr: optax.Schedule,
    prepare: Callable[[Batch], tuple[jax.Array, jax.Array]],
    config: OptimConfig,
    *,
    seed: int,
):
    """Builds the jitted `(state, batch) -> (state, metrics)`; the state is donated.

    Args:
      skeleton: the model in training mode.
      prepare: batch to (normalised clips `[B, T, H, W, C]`, labels `[B]`).
      config: label smoothing, accumulation and the moving average are read here.

    The metrics are `loss`, `top1` (share right on the batch), `lr`, `grad_norm`
    (before clipping), `clips`, a `[2]` uint32, and `stop`, whether any process asked.
    """
    parts = config.accumulate

    def loss_fn(params, stats, batch, key):
        model = skeleton.merge(params, stats)
        clips, labels = prepare(batch)
        logits = model(clips, rngs=key)
        loss = cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        right = (logits.argmax(-1) == labels).mean()
        return loss, (named_arrays(model, nnx.BatchStat), right)

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)

    def whole_batch(params, stats, batch, key):
        (loss, (stats, right)), grads = grad_fn(params, stats, batch, key)
        return loss, right, stats, grads

    def in_parts(params, stats, batch, key):
        """Part j takes rows j, j + parts, ...: each is spread over all devices."""
        cut = jax.tree.map(
            lambda a: a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1), batch
        )

        def one(carry, part):
            stats, total = carry
            index, batch = part
            loss, right, stats, grads = whole_batch(
                params, stats, batch, jax.random.fold_in(key, index)
            )
            return (stats, jax.tree.map(jnp.add, total, (loss, right, grads))), None

        zeros = (jnp.float32(0), jnp.float32(0), jax.tree.map(jnp.zeros_like, params))
        (stats, total), _ = jax.lax.scan(one, (stats, zeros), (jnp.arange(parts), cut))
        loss, right, grads = jax.tree.map(lambda a: a / parts, total)
        return loss, right, stats, grads

    @functools.partial(jax.jit, donate_argnames="state")
    def train_step(state: TrainState, batch: Batch):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        compute = whole_batch if parts == 1 else in_parts
        loss, right, stats, grads = compute(state.params, state.stats, batch, key)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = {}
        if config.ema is not None:
            ema = optax.incremental_update(params | stats, state.ema, 1 - config.ema)
        metrics = {
            "loss": loss,
            "top1": right,
            "lr": lr(state.step),
            "grad_norm": optax.tree.norm(grads),
            "clips": clips_fingerprint(batch["fingerprint"]),
            "stop": batch["stop"].any(),
        }
        return TrainState(state.step + 1, params, stats, opt, ema), metrics

    return train_step
