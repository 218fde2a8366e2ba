"""`temporal_shift_conv`: the temporal shift and the 1x1 convolution after it as one.

The shift stands right before a 1x1 convolution in every bottleneck of TSM (Lin et al.,
ICCV 2019, section 3): a product whose left operand is read at other frames, which need
not be written anywhere first.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kernels.frames import Frames
from kernels.sharding import varying_like
from kernels.temporal import op
from kernels.temporal.op import How


def temporal_shift_conv(
    x: Float[Array, "B T *space C"] | Frames,
    weight: Float[Array, "C K"],
    *,
    fold: int,
    direction: str = "both",
    scale: Float[Array, " K"] | None = None,
    bias: Float[Array, " K"] | None = None,
    relu: bool = False,
    implementation: str | None = None,
) -> Float[Array, "B T *space K"] | Frames:
    """Computes `relu(scale * (temporal_shift(x) @ weight) + bias)`.

    Scale and bias are a batch norm's in evaluation. Differentiable in all arrays, in
    reverse mode; no shifted copy of x is kept for it. Sums, scale and bias are in float32
    (float64 for a float64 x). The gradients are the same from run to run. What runs is
    chosen when a program is lowered, by its platform; `op.CHOICES` says what and why.

    Args:
      x: features `[B, T, ..., C]`, channels last, or `Frames`.
      weight: `[C, K]`; used in x's dtype, its gradient has its own.
      fold, direction: as in `temporal_shift`.
      scale, bias: `[K]`; None is 1 and 0.
      relu: whether negative results become zero.
      implementation: "xla", "pallas_tpu" or "triton" means that one; None the best here.

    Returns:
      The same kind as x, of its dtype, with K channels.

    Raises:
      ValueError: x is not of a floating type, another shape does not fit x's channels or
        weight's, or what `temporal_shift` raises it for.
      NotImplementedError: the named implementation cannot run here; it says why.
    """
    data, move, like = op.features_of(
        x, fold=fold, direction=direction, implementation=implementation
    )
    if not jnp.issubdtype(data.dtype, jnp.floating):
        raise ValueError(f"x must be of a floating type, got {data.dtype}")
    weight = jnp.asarray(weight)
    scale, bias = (None if a is None else jnp.asarray(a) for a in (scale, bias))
    for name, array in (("weight", weight), ("scale", scale), ("bias", bias)):
        if array is not None and not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name} must be of a floating type, got {array.dtype}")
    if weight.ndim != 2 or weight.shape[0] != data.shape[-1]:
        raise ValueError(
            f"weight must be [C, K] with C={data.shape[-1]} as in x, "
            f"got shape {weight.shape}"
        )
    for name, array in (("scale", scale), ("bias", bias)):
        if array is not None and array.shape != weight.shape[1:]:
            raise ValueError(
                f"{name} must be [K] with K={weight.shape[1]} as in weight, "
                f"got shape {array.shape}"
            )
    extras = {"scale": scale, "bias": bias}
    extras = {name: a for name, a in extras.items() if a is not None}
    how = How(move, implementation, weight.shape[1], relu, tuple(extras))
    op.check("temporal_shift_conv", data, how)
    weight, *given = (varying_like(a, data) for a in (weight, *extras.values()))
    return like(_conv(data, weight, tuple(given), how))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _conv(x, weight, extras, how: How):
    return op.operation(x, weight, *extras, piece="conv", how=how)


def _forward(x, weight, extras, how: How):
    y = _conv(x, weight, extras, how)
    return y, (x, weight, extras, y if how.relu else None)


def _backward(how: How, kept, dy):
    x, weight, extras, y = kept
    given = dict(zip(how.extras, extras, strict=True))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    dy = dy if y is None else jnp.where(y > 0, dy, 0)
    if op.beyond_vmem(x, how):
        # Both gradients read it. XLA would work it out for each of them.
        dy = jax.lax.optimization_barrier(dy)
    dz = dy
    if "scale" in given:
        scale = given["scale"].astype(wide)
        dz = (dy * scale.reshape((1,) * (dy.ndim - 1) + (-1,))).astype(dy.dtype)
    dx = op.operation(dz, weight, piece="conv_dx", how=how)
    dw = op.operation(x, dy, piece="conv_dw", how=how)
    found = {}
    if "bias" in given:
        found["bias"] = dy.astype(wide).sum(tuple(range(dy.ndim - 1)))
    if "scale" in given:
        # The product before the scale, summed with dy, without computing it again.
        found["scale"] = (weight.astype(wide) * dw).sum(0)
        dw = dw * scale[None]
    extras = tuple(found[n].astype(given[n].dtype) for n in how.extras)
    return dx, dw.astype(weight.dtype), extras


_conv.defvjp(_forward, _backward)
