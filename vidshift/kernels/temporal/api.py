"""The temporal shift, alone and in one with the 1x1 convolution after it.

`temporal_shift`: TSM (Lin et al., ICCV 2019), section 3; the order of the two folds is
that of the official code, which the paper's figure draws the other way round.

`temporal_shift_conv`: the shift stands right before a 1x1 convolution in every bottleneck
of TSM, a product whose left operand is read at other frames, which need not be written
anywhere first.
"""

import dataclasses
import functools
from typing import overload

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from vidshift.kernels.dispatch import (
    Choice,
    Implementation,
    Operation,
    Piece,
    with_kernels,
)
from vidshift.kernels.frames import Frames
from vidshift.kernels.sharding import varying_like
from vidshift.kernels.temporal import cpu, gpu, gpu_plan, reference, tpu
from vidshift.kernels.temporal.arguments import TemporalSpec, features_of


def _implementations(**functions: str) -> dict[str, Implementation]:
    """The table of an operation: piece -> the name of its function in each module."""
    run = {piece: getattr(reference, name) for piece, name in functions.items()}
    run_on = {("tpu", "backward_x"): reference.conv_dx_on_tpu}
    run_on |= {
        ("cpu", piece): getattr(cpu, name)
        for piece, name in functions.items()
        if hasattr(cpu, name)
    }
    xla = Implementation(run=run, splits=True, run_on=run_on)
    return with_kernels(xla, functions, tpu=tpu, gpu=gpu, gpu_plan=gpu_plan)


def _beyond_vmem(x, spec: TemporalSpec) -> bool:
    """Tells if a TPU has to read a device's part of x from its main memory."""
    size_bytes = x.size * x.dtype.itemsize // spec.move.parts
    return spec.move.frames is not None and size_bytes > tpu.VMEM_BYTES


def _reads_at_half_speed(x, piece, spec: TemporalSpec) -> bool:
    if piece == "forward":
        whole_lanes = spec.out_channels % 128 == 0
        return spec.affine and whole_lanes and _beyond_vmem(x, spec)
    return piece == "backward_weight" and _beyond_vmem(x, spec)


# The shift alone: XLA's everywhere. On a GPU its pass is slower than `triton`'s, but XLA
# makes it, or half of it, a part of the elementwise operation before or after it
# (docs/kernels.md has the bytes).
TEMPORAL_SHIFT = Operation(
    "temporal_shift",
    pieces=dict.fromkeys(
        ("forward", "backward"), Piece((True,), (False,), options=("move",))
    ),
    implementations=_implementations(forward="shift", backward="shift"),
    choices=(),
)

TEMPORAL_SHIFT_CONV = Operation(
    "temporal_shift_conv",
    pieces={
        # x, weight, scale, bias
        "forward": Piece((True, False, False, False), (False,), ("move", "relu")),
        "backward_x": Piece((True, False), (False,), ("move",)),  # dz, weight
        "backward_weight": Piece((True, True), (True,), ("move",)),  # x, dz
    },
    implementations=_implementations(
        forward="conv", backward_x="conv_dx", backward_weight="conv_dw"
    ),
    choices=(
        Choice(
            "tpu",
            "pallas_tpu",
            "XLA reads the three copies of each channel that it selects from at half of "
            "the memory's speed. Features that fit VMEM it keeps there, which no kernel "
            "can ask for; of a product without scale and bias it makes the statistics of "
            "a batch norm as it writes it, for which a kernel's result is read once "
            "more; and its own order of fewer than 128 channels costs copies. The "
            "weights' gradient is small in any order",
            _reads_at_half_speed,
        ),
        Choice(
            "cuda",
            "triton",
            "the convolution's library cannot select what it reads: a shift of its own "
            "is a pass over memory",
        ),
    ),
)


@overload
def temporal_shift(
    x: Num[Array, "B T *space C"],
    *,
    fold: int,
    direction: str = "both",
    implementation: str | None = None,
) -> Num[Array, "B T *space C"]: ...
@overload
def temporal_shift(
    x: Frames,
    *,
    fold: int,
    direction: str = "both",
    implementation: str | None = None,
) -> Frames: ...
def temporal_shift(
    x: Num[Array, "B T *space C"] | Frames,
    *,
    fold: int,
    direction: str = "both",
    implementation: str | None = None,
) -> Num[Array, "B T *space C"] | Frames:
    """Moves whole frames of some channels by one place in time, zero outside the clip.

    With `direction="both"`, `y[:, t, ..., :fold] = x[:, t + 1]`,
    `y[:, t, ..., fold:2*fold] = x[:, t - 1]`, and the other channels stay.
    With `"past"` only `[0, fold)` moves, and takes frame t - 1: no output reads a
    later frame, so the network can run frame by frame (TSM, section 4.2).
    Pure data movement: every value is bit-equal to an input value or zero.

    Before a 1x1 convolution, `temporal_shift_conv` does both at once. What runs is chosen
    when a program is lowered, by its platform. Differentiable in reverse mode.

    Args:
      x: features `[B, T, ..., C]`, any dtype, channels last; or `Frames`, the order that
        costs least on a TPU.
      fold: channels a group, `0 <= fold`, and all groups fit in C.
      direction: "both" or "past".
      implementation: "xla", "pallas_tpu" or "triton" means that one; None the best here.

    Returns:
      The same kind as x, of its shape and dtype.

    Raises:
      ValueError: x has fewer than three axes, the folds do not fit in C, or a name is
        not in its list, or a dtype is not the implementation's.
      NotImplementedError: the named implementation cannot run here; it says why.
    """
    data, spec, like = features_of(
        x, fold=fold, direction=direction, implementation=implementation
    )
    return like(_shift(data, TEMPORAL_SHIFT.check(data, spec)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _shift(x, spec: TemporalSpec):
    piece = "backward" if spec.move.reverse else "forward"
    (y,) = TEMPORAL_SHIFT(x, piece=piece, spec=spec)
    return y


# Linear, and its transpose is the shift the other way.
_shift.defvjp(
    lambda x, spec: (_shift(x, spec), None),
    lambda spec, _, dy: (_shift(dy, spec.reversed()),),
)


@overload
def temporal_shift_conv(
    x: Float[Array, "B T *space C"],
    weight: Float[Array, "C K"],
    *,
    fold: int,
    direction: str = "both",
    scale: Float[Array, " K"] | None = None,
    bias: Float[Array, " K"] | None = None,
    relu: bool = False,
    implementation: str | None = None,
) -> Float[Array, "B T *space K"]: ...
@overload
def temporal_shift_conv(
    x: Frames,
    weight: Float[Array, "C K"],
    *,
    fold: int,
    direction: str = "both",
    scale: Float[Array, " K"] | None = None,
    bias: Float[Array, " K"] | None = None,
    relu: bool = False,
    implementation: str | None = None,
) -> Frames: ...
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
    chosen when a program is lowered, by its platform;
    `TEMPORAL_SHIFT_CONV.choices` says what and why.

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
    data, spec, like = features_of(
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
    spec = dataclasses.replace(
        spec,
        out_channels=weight.shape[1],
        affine=scale is not None or bias is not None,
        relu=relu,
    )
    spec = TEMPORAL_SHIFT_CONV.check(data, spec)
    weight, scale, bias = jax.tree.map(
        lambda array: varying_like(array, data), (weight, scale, bias)
    )
    return like(_conv(data, weight, scale, bias, spec))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _conv(x, weight, scale, bias, spec: TemporalSpec):
    (y,) = TEMPORAL_SHIFT_CONV(x, weight, scale, bias, piece="forward", spec=spec)
    return y


def _forward(x, weight, scale, bias, spec: TemporalSpec):
    y = _conv(x, weight, scale, bias, spec)
    return y, (x, weight, scale, bias, y if spec.relu else None)


def _backward(spec: TemporalSpec, kept, dy):
    x, weight, scale, bias, y = kept
    wide = jnp.promote_types(x.dtype, jnp.float32)
    dy = dy if y is None else jnp.where(y > 0, dy, 0)
    if _beyond_vmem(x, spec):
        # Both gradients read it. XLA would work it out for each of them.
        dy = jax.lax.optimization_barrier(dy)
    dz = dy
    if scale is not None:
        per_channel = scale.astype(wide).reshape((1,) * (dy.ndim - 1) + (-1,))
        dz = (dy * per_channel).astype(dy.dtype)
    (dx,) = TEMPORAL_SHIFT_CONV(dz, weight, piece="backward_x", spec=spec)
    (dweight,) = TEMPORAL_SHIFT_CONV(x, dy, piece="backward_weight", spec=spec)
    dscale = dbias = None
    if bias is not None:
        dbias = dy.astype(wide).sum(tuple(range(dy.ndim - 1))).astype(bias.dtype)
    if scale is not None:
        # The product before the scale, summed with dy, without computing it again.
        dscale = (weight.astype(wide) * dweight).sum(0).astype(scale.dtype)
        dweight = dweight * scale.astype(wide)[None]
    return dx, dweight.astype(weight.dtype), dscale, dbias


_conv.defvjp(_forward, _backward)
