"""SGD as the papers use it: schedules, kinds of parameters, multipliers, clipping."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.experimental.layout import Layout, with_layout_constraint

from vidshift.config import OptimConfig
from vidshift.layers.norm import batch_norms
from vidshift.nets.weights import Arrays
from vidshift.nets.zoo import pick
from vidshift.shifts.attention import AttentionParam
from vidshift.shifts.rubiks import ShiftParam
from vidshift.training.gradient_norm import clip_by_norm
from vidshift.training.shift_gradient import FORMS, normalise_shifts

# Kind of parameter -> (learning-rate multiplier, weight-decay multiplier).
_PLAIN = {
    "weight": (1, 1),
    "bias": (1, 0),
    "norm": (1, 0),
    "head_weight": (1, 1),
    "head_bias": (1, 0),
}
_TSM = _PLAIN | {"bias": (2, 0), "head_bias": (2, 0)}
GROUPS = {
    # Decay on weights alone.
    "plain": _PLAIN,
    # TSM's get_optim_policies; "tsm_fc5" is its fc_lr5, for a head that is new while
    # the rest starts from ImageNet or another data set.
    "tsm": _TSM,
    "tsm_fc5": _TSM | {"head_weight": (5, 1), "head_bias": (10, 0)},
    # SlowFast's construct_optimizer: on all but the norms, so on the head's bias too.
    "slowfast": _PLAIN | {"bias": (1, 1), "head_bias": (1, 1)},
    # What GSM's and GSF's code does: multipliers defined but not applied.
    "uniform": dict.fromkeys(_PLAIN, (1, 1)),
}
# Modules of a network whose parameters are the head's.
HEADS = ("fc", "clip_head")
# Kinds by the type of the parameter, in every group: config.optim.shift and .attention.
BY_TYPE = {ShiftParam: "shift", AttentionParam: "attention"}


def parameter_kinds(model: nnx.Module) -> dict[str, str]:
    """Returns each parameter's kind by name.

    That is a key of a `GROUPS` table, one of `BY_TYPE`, or "frozen".
    """
    norms = {".".join(map(str, path)): norm for path, norm in batch_norms(model)}
    kinds = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        *parts, leaf = map(str, path)
        owner = ".".join(parts)
        if type(variable) in BY_TYPE:
            kind = BY_TYPE[type(variable)]
        elif owner in norms:
            kind = "frozen" if norms[owner].frozen else "norm"
        else:
            kind = "bias" if leaf == "bias" else "weight"
            kind = f"head_{kind}" if parts[0] in HEADS else kind
        kinds[f"{owner}.{leaf}"] = kind
    return kinds


def peak_learning_rate(config: OptimConfig, batch_size: int) -> float:
    """Returns `lr`, scaled to the batch if `lr_batch_size` asks for it."""
    if config.lr_batch_size is None:
        return config.lr
    return config.lr * batch_size / config.lr_batch_size


def schedule(
    config: OptimConfig, *, batch_size: int, steps: int, steps_per_epoch: float
) -> optax.Schedule:
    """Returns the learning rate by step: linear warm-up, then a cosine or steps.

    Raises:
      ValueError: a schedule that does not exist, or a warm-up longer than the run.
    """
    peak = peak_learning_rate(config, batch_size)
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if warmup_steps >= steps:
        has = f"the run has {steps} steps"
        clips = round(steps_per_epoch * batch_size)
        if clips < batch_size:
            raise ValueError(
                f"batch_size={batch_size} is larger than the data's {clips} clips, so "
                f"that {has}: --config.batch_size={clips} or less, or --config.steps"
            )
        raise ValueError(
            f"optim.warmup_epochs={config.warmup_epochs} is {warmup_steps} steps, and "
            f"{has}: fewer --config.optim.warmup_epochs, or more --config.epochs"
        )

    def cosine(step):
        done = (step - warmup_steps) / (steps - warmup_steps)
        return peak * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(done, 0, 1)))

    def steps_down(step):
        bounds = jnp.array([round(e * steps_per_epoch) for e in config.step_epochs])
        return peak * config.step_factor ** (step >= bounds).sum()

    def cosine_from_start(step):
        return peak * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(step / steps, 0, 1)))

    kinds = {
        "cosine": cosine,
        "cosine_from_start": cosine_from_start,
        "step": steps_down,
    }
    after = pick("schedule", config.schedule, kinds)
    # Scaled to the batch as the peak is.
    first = config.warmup_lr * peak / config.lr if config.lr else 0.0
    # The first step has the first rate itself, as in SlowFast's and GSF's code. A rate of
    # zero would waste it, and is left at once.
    ahead = 0 if first else 1

    def lr(step):
        step = jnp.asarray(step, float)  # of 64 bits where the program has them
        rise = (after(warmup_steps) - first) * (step + ahead) / max(warmup_steps, 1)
        warm = first + rise
        return jnp.where(step < warmup_steps, warm, after(step))

    return lr


def make_optimizer(
    config: OptimConfig,
    kinds: dict[str, str],
    lr: optax.Schedule,
    *,
    steps_per_epoch: float,
) -> optax.GradientTransformation:
    """Builds SGD with momentum over named arrays, in PyTorch's order of operations.

    Clip, add decay, accumulate momentum, multiply by the group's and the schedule's
    learning rate. Frozen parameters have no gradient (`nets.norm`), so they do not count
    in the clipped norm, and get no decay. The gradient of learned shifts is normalised
    first (`shift_gradient`); what is left of it says nothing of its size, so that it
    neither counts in the clipped norm nor is clipped.

    Raises:
      ValueError: `optim.groups` is no name in `GROUPS`, or `optim.shift.gradient` none
        in `FORMS`.
    """
    table = pick("optim.groups", config.groups, GROUPS) | {"frozen": (0, 0)}
    table |= {"shift": (1, 0), "attention": (config.attention.lr, 0)}
    multipliers = {name: table[kind] for name, kind in kinds.items()}
    shifts = {name for name, kind in kinds.items() if kind == "shift"}
    form = config.shift.gradient
    of_shifts = pick("optim.shift.gradient", form, FORMS) is not None and shifts

    def decay(grads: Arrays, params: Arrays) -> Arrays:
        grads = {
            k: in_parameters_layout(g) if g.ndim > 1 else g for k, g in grads.items()
        }
        rates = {k: config.weight_decay * multipliers[k][1] for k in grads}
        # Where a factor is zero nothing is added, which XLA cannot know of 0 x.
        return {
            k: g + rates[k] * params[k] if rates[k] else g for k, g in grads.items()
        }

    def multiply(updates: Arrays, params) -> Arrays:
        del params
        return {k: u * multipliers[k][0] for k, u in updates.items()}

    clip = optax.identity()
    if config.clip_norm is not None:
        clip = clip_by_norm(config.clip_norm)
    normalise = slow = optax.identity()
    if of_shifts:
        normalise = normalise_shifts(
            shifts, form=form, time_factor=config.shift.time_factor
        )
        clip = optax.masked(clip, {name: name not in shifts for name in kinds})
    if shifts:
        slow_steps = round(config.shift.warmup_epochs * steps_per_epoch)
        slow = optax.masked(
            optax.scale_by_schedule(
                lambda step: jnp.where(
                    step < slow_steps, config.shift.warmup_lr, config.shift.lr
                )
            ),
            {name: name in shifts for name in kinds},
        )
    return optax.chain(
        normalise,
        clip,
        optax.stateless(decay),
        optax.trace(config.momentum, nesterov=config.nesterov),
        optax.stateless(multiply),
        slow,
        optax.scale_by_learning_rate(lr),
    )


def in_parameters_layout(gradient: jax.Array) -> jax.Array:
    """Returns a gradient that a GPU stores in the order of the parameter's axes.

    The convolution's library gives it in another order. XLA would rather update the
    parameter in that one, and copy it and its momentum back afterwards.
    """
    layout = Layout(tuple(range(gradient.ndim)))
    return jax.lax.platform_dependent(
        gradient,
        cuda=lambda g: with_layout_constraint(g, layout),
        default=lambda g: g,
    )


def describe(config: OptimConfig, batch_size: int) -> str:
    """Says the learning rate and the rule it comes from, in a line for the log."""
    peak = peak_learning_rate(config, batch_size)
    if config.lr_batch_size is None:
        return f"learning rate {peak:g} (not scaled with the batch)"
    return (
        f"learning rate {peak:g} = {config.lr:g} x batch {batch_size} / "
        f"{config.lr_batch_size}"
    )
