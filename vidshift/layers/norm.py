"""Batch normalisation over the global batch, over groups of clips, or frozen."""

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers import batch_statistics
from vidshift.layers.precision import wide

FREEZE = ("none", "partial", "all")


class BatchNorm(nnx.Module):
    """Batch norm over all axes but the last, as PyTorch computes it.

    `momentum` is the share of the old running statistics that is kept (1 - PyTorch's);
    they hold the Bessel-corrected variance. Statistics are float32 whatever the input,
    and float64 where it is.
    Under a sharded `jit` a statistic is that of the global batch.

    Attributes set through `nnx.view`:
      use_running_average: evaluation mode.
      group_clips: statistics are taken over groups of that many clips (first axis)
        each, as replicas with their own batches do; None (0 in a view) means the
        whole batch.
        The running statistics follow the mean over groups.
    A `frozen` norm stays in evaluation mode in every view, and its scale and bias have
    no gradient.
    """

    def __init__(self, features: int, *, epsilon=1e-5, momentum=0.9, dtype=jnp.float32):
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.var = nnx.BatchStat(jnp.ones(features))
        self.dtype = dtype
        self.momentum = momentum
        self.epsilon = epsilon
        self.use_running_average = True
        self.group_clips: int | None = None
        self.frozen = False

    def set_view(self, use_running_average=None, group_clips=None):
        if use_running_average is not None:
            self.use_running_average = use_running_average or self.frozen
        if group_clips is not None:
            self.group_clips = group_clips or None

    def scale_and_bias(self) -> tuple[jax.Array, jax.Array]:
        """Returns the factor and the summand of evaluation, float32 `[C]` each."""
        return self._affine(self.mean[...], self.var[...])

    def __call__(self, x: Frames | jax.Array) -> Frames | jax.Array:
        """Frames, or clips `[B, ..., C]`."""
        if not isinstance(x, Frames):
            return self._of_clips(x)
        if self.use_running_average:
            return x.like(self._of_clips(x.data))
        grouped = self._grouped(x)
        if grouped is None:
            return Frames.of(self._of_clips(x.clips()))
        shape, axes = grouped
        y = self._train(x.data.reshape(shape), (0, 1), axes)
        return x.like(y.reshape(x.data.shape))

    def _grouped(self, x: Frames) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Returns the shape `[H, W, ..., C]` that has axes of groups, and the other axes.

        None if a group would have parts of some devices' clips and not of others'.
        """
        *around, rows, channels = x.data.shape
        clips = rows // (x.parts * x.frames)  # of a part
        group = self.group_clips or x.parts * clips
        self._check_groups(x.parts * clips, group)
        if group % clips == 0:
            parts = group // clips
            split, axes = (x.parts // parts, parts * x.frames * clips), (3,)
        elif clips % group == 0:
            split, axes = (x.parts, x.frames, clips // group, group), (3, 5)
        else:
            return None
        return (*around, *split, channels), axes

    def _of_clips(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            return self._normalise(x, self.mean[...], self.var[...])
        clips = x.shape[0]
        group = self.group_clips or clips
        self._check_groups(clips, group)
        grouped = x.reshape(clips // group, group, *x.shape[1:])
        axes = tuple(range(1, grouped.ndim - 1))
        return self._train(grouped, axes[2:], axes[:2]).reshape(x.shape)

    def _check_groups(self, clips: int, group: int) -> None:
        if clips % group:
            raise ValueError(
                f"batch norm: groups of {group} clips do not divide a batch of {clips}"
            )

    def _train(self, x: jax.Array, frame_axes, other_axes) -> jax.Array:
        """Normalises x by its own statistics, and moves the running ones."""
        spec = batch_statistics.Spec(
            frame_axes, other_axes, self.epsilon, jnp.dtype(self.dtype)
        )
        running = self.mean[...]
        y, mean, var = batch_statistics.normalise(
            x, self.scale[...], self.bias[...], running, spec
        )
        count = batch_statistics.count(x, spec)
        groups = tuple(range(mean.ndim - 1))
        self._update(mean.mean(groups), var.mean(groups) * (count / max(count - 1, 1)))
        return y

    def _update(self, mean, var):
        for running, new in ((self.mean, mean), (self.var, var)):
            new = jax.lax.stop_gradient(new)
            new = self.momentum * running[...] + (1 - self.momentum) * new
            # Not `running[...] = `, for which a traced value is asked for its sharding:
            # milliseconds each, and the more the longer the program is.
            running.set_value(new)

    def _normalise(self, x, mean, var):
        """In float32 or wider per channel; XLA fuses the casts into the neighbouring ops."""
        scale, bias = self._affine(mean, var)
        per_channel = (1,) * (x.ndim - scale.ndim) + scale.shape
        scale, bias = scale.reshape(per_channel), bias.reshape(per_channel)
        return (wide(x) * scale + bias).astype(self.dtype)

    def _affine(self, mean, var):
        scale, bias = self.scale[...], self.bias[...]
        if self.frozen:
            scale, bias = jax.lax.stop_gradient((scale, bias))
        per_channel = (1,) * (mean.ndim - 1) + (-1,)
        scale = scale.reshape(per_channel) * jax.lax.rsqrt(var + self.epsilon)
        return scale, bias.reshape(per_channel) - mean * scale


def batch_norms(model: nnx.Module) -> list[tuple[tuple, BatchNorm]]:
    """Every batch norm of a model with its path."""
    return [(p, m) for p, m in nnx.iter_modules(model) if isinstance(m, BatchNorm)]


def freeze(model: nnx.Module, which: str) -> None:
    """Freezes batch norms: "none", "partial" (all but the network's first), "all".

    Partial is TSM's default for small data sets ("partial BN"): every norm but the
    first keeps its running statistics, scale and bias.

    Raises:
      ValueError: a name that is not in the list.
    """
    if which not in FREEZE:
        raise ValueError(f"freeze must be one of {FREEZE}, got {which!r}")
    norms = batch_norms(model)
    first = min((path for path, _ in norms), key=_place, default=())
    for path, norm in norms:
        norm.frozen = which == "all" or (which == "partial" and path != first)


def _place(path: tuple) -> tuple:
    """Sorts what is in a network: the stem, the stages by number, the rest."""
    known = ("stem", "stages")
    return (known.index(path[0]) if path[0] in known else len(known), *path)
