"""First training steps beside the official code's, in float64 on both sides.

A case has the fields of a parity case and `training`: how many steps, fields of
`OptimConfig`, which norms are frozen, and the length of the schedule. The official side's
losses, and of step 1 its gradients, parameters and running statistics, lie in the `.npz`.
Of each array there are two numbers, its norm and its product with a made-up direction:
an array that differs anywhere differs in the second.

Both sides compute in float64, because float32 steps drift apart by themselves: a ReLU
whose input is near zero is on in one program and off in the other.
"""

import zlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float

from vidshift.config import OptimConfig, ShiftConfig
from vidshift.layers.norm import freeze
from vidshift.nets import create, train_view
from vidshift.nets.drawn import made_up_weights
from vidshift.nets.weights import Arrays, split
from vidshift.torch_weights.load import load_torch, official_names
from vidshift.training import attention, optimizer
from vidshift.training.state import make_train_step, new_state

# Kinds of array in a golden file.
KINDS = ("gradient", "parameter", "statistic")


def compare_steps(
    case: Mapping, golden: Mapping[str, np.ndarray], *, steps: int | None = None
) -> dict[str, float | list[float]]:
    """Trains for a case's steps and compares with the official code's figures.

    Args:
      case: contents of its JSON file.
      golden: arrays of its `.npz`: `losses` `[steps]`, and for each kind its official
        `_names` and `_figures` `[N, 2]`.
      steps: how many steps to run; all of them if None.

    Returns:
      `losses`, the relative error of each step's loss, and for each kind the largest error
      of an array relative to its norm.

    Raises:
      ValueError: arrays that only one side has.
    """
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        losses, arrays = _train(case, steps or len(golden["losses"]))
    official = golden["losses"][: len(losses)]
    row = {"losses": (np.abs(losses - official) / np.abs(official)).tolist()}
    for kind, ours in zip(KINDS, arrays, strict=True):
        names = golden[f"{kind}_names"].tolist()
        if ours.keys() != set(names):
            only = sorted(ours.keys() ^ set(names))
            raise ValueError(f"only one side has a {kind} of {', '.join(only[:3])}")
        figures = golden[f"{kind}_figures"]
        norms = figures[:, 0]
        # A gradient that is zero but for rounding is compared with the others.
        size = np.maximum(norms, 1e-6 * np.linalg.norm(norms))
        errors = np.abs(np.stack([ours[name] for name in names]) - figures).max(1)
        row[kind] = float((errors / size).max())
    return row


def made_up_direction(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draws from [-1, 1), by an array's official name alone."""
    rng = np.random.default_rng(zlib.crc32(f"{name} direction".encode()))
    return rng.uniform(-1, 1, shape).astype(np.float32)


def _train(case: Mapping, steps: int) -> tuple[np.ndarray, list[dict]]:
    """Returns the steps' losses, and for each kind the figures of step 1 by name."""
    training = case["training"]
    optim = OptimConfig(**training["optim"] | {"shift": _shift(training["optim"])})
    model = nnx.eval_shape(lambda: create(**case["create"], dtype=jnp.float64))
    freeze(model, training.get("freeze", "none"))
    names = official_names(model, [name for name, _ in case["state_dict"]])
    directions = _loaded(
        model, {name: made_up_direction(name, shape) for name, shape in _arrays(case)}
    )
    params, stats = _loaded(model, made_up_weights(case["state_dict"]))

    length = {
        "steps": training.get("steps_of_schedule", 10**6),
        "steps_per_epoch": training.get("steps_per_epoch", 10**5),
    }
    lr = optimizer.schedule(optim, batch_size=case["batch"], **length)
    kinds = optimizer.parameter_kinds(model)
    tx = optax.chain(
        _remember_gradient(),
        optimizer.make_optimizer(
            optim, kinds, lr, steps_per_epoch=length["steps_per_epoch"]
        ),
    )
    step = make_train_step(
        split(train_view(model))[0],
        tx,
        lr,
        lambda batch: (batch["video"], batch["label"]),
        optim,
        seed=0,
        temperature=attention.temperature(optim.attention, **length),
    )
    state = new_state(params, stats, tx, ema=False)
    losses, first = [], []
    rng = np.random.default_rng(case["input_seed"])
    for number in range(steps):
        state, metrics = step(state, _batch(case, rng))
        losses.append(float(metrics["loss"]))
        if number == 0:
            frozen = {name for name, kind in kinds.items() if kind == "frozen"}
            gradient = {k: g for k, g in state.opt[0].items() if k not in frozen}
            found = (gradient, state.params, state.stats)
            along = (directions[0], directions[0], directions[1])
            first = [
                {names[k]: _figures(a, of[k]) for k, a in arrays.items()}
                for arrays, of in zip(found, along, strict=True)
            ]
    return np.asarray(losses), first


def _shift(optim: Mapping) -> ShiftConfig:
    return ShiftConfig(**optim.get("shift", {}))


def _arrays(case: Mapping) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of an official state dict, without counters."""
    return [
        (name, tuple(shape))
        for name, shape in case["state_dict"]
        if not name.endswith("num_batches_tracked")
    ]


def _loaded(
    model: nnx.Module, state_dict: Mapping[str, np.ndarray]
) -> tuple[Arrays, Arrays]:
    """Returns an official state dict as (parameters, statistics) of ours, in float64."""
    model = nnx.clone(model)
    load_torch(model, state_dict)
    _, params, stats = split(model)
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (params, stats))


def _batch(case: Mapping, rng: np.random.Generator) -> dict[str, jax.Array]:
    """Draws a step's clips, standard normals in float32, and then its labels."""
    shape = (case["batch"], case["num_frames"], case["size"], case["size"], 3)
    clips = rng.standard_normal(shape).astype(np.float32)
    labels = rng.integers(0, case["create"]["num_classes"], case["batch"])
    return {
        "video": jnp.asarray(clips, jnp.float64),
        "label": jnp.asarray(labels, jnp.int32),
        "fingerprint": jnp.zeros((case["batch"], 2), jnp.uint32),
        "stop": jnp.zeros(case["batch"], bool),
    }


def _remember_gradient() -> optax.GradientTransformation:
    """Keeps the last gradient as its state, and passes it on."""
    return optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params),
        lambda gradient, state, params=None: (gradient, gradient),
    )


def _figures(array: jax.Array, direction: jax.Array) -> Float[np.ndarray, "2"]:
    array, direction = np.asarray(array), np.asarray(direction)
    return np.array([np.sqrt((array * array).sum()), (array * direction).sum()])
