"""`shift3d_conv`: the shift and the 1x1 convolution after it, as one operation."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from kernels.interpolated import conv_xla, gpu, gpu_conv, op, tpu, tpu_conv
from kernels.interpolated.arguments import How, in_use, prepare, varying_as
from kernels.interpolated.taps import reach
from kernels.platforms import make_operation
from kernels.sharding import can_split, over_batch


class Implementation(NamedTuple):
    """`forward` and `backward` with the signatures of `kernels.interpolated.conv_xla`."""

    forward: Callable
    backward: Callable
    dtypes: tuple[str, ...]
    platforms: tuple[str, ...] | None  # None: every one
    # Whether XLA itself can split it over devices.
    splits: bool
    # x, K, stride=, max_shift= -> what keeps this call from running here, or None.
    missing: Callable


IMPLEMENTATIONS = {
    "xla": Implementation(
        forward=conv_xla.forward,
        backward=conv_xla.backward,
        dtypes=("float32", "bfloat16", "float64"),
        platforms=None,
        splits=True,
        missing=lambda x, outputs, stride, max_shift: None,
    ),
    "pallas_tpu": Implementation(
        forward=tpu_conv.forward,
        backward=tpu_conv.backward,
        dtypes=("float32", "bfloat16"),
        platforms=("tpu",),
        splits=False,
        missing=tpu_conv.missing,
    ),
    "triton": Implementation(
        forward=gpu_conv.forward,
        backward=gpu_conv.backward,
        dtypes=("float32", "bfloat16"),
        platforms=("cuda",),
        splits=False,
        missing=gpu_conv.missing,
    ),
}
# With no implementation named, where no fused kernel is chosen: the shift's own kernel,
# and XLA's product after it. Keys are names of `op.CHOICES`.
UNFUSED = {
    name: IMPLEMENTATIONS[name]._replace(forward=forward, backward=backward)
    for name, (forward, backward) in {
        "pallas_tpu": conv_xla.composed(tpu),
        "triton": conv_xla.composed(gpu),
    }.items()
}


class Choice(NamedTuple):
    """With no implementation named, `name` runs on `platform` where `fits` allows."""

    platform: str
    name: str
    fits: Callable  # (x's shape, K, bytes of a number, direction, stride, max_shift)
    reason: str


# Where none fits, the shift is what `op.CHOICES` names and the product is XLA's.
CHOICES = (
    Choice(
        "tpu",
        "pallas_tpu",
        lambda shape, outputs, itemsize, direction, stride, max_shift: (
            stride[0] == 1 and max(reach(max_shift, shape[1:4])) <= 4
        ),
        "reads and writes what the operation has to, forward and backward; the shifted "
        "features, and backward the product's result too, never leave VMEM",
    ),
    Choice(
        "cuda",
        "triton",
        gpu_conv.moves_fewer_bytes,
        "where its tiles' halos and the sums of its programs are fewer bytes than the "
        "shifted features, written once and read once",
    ),
)


class ConvHow(NamedTuple):
    """What is known when the program is traced."""

    shift: How
    relu: bool


def shift3d_conv(
    x: Num[Array, "B T H W C"],
    shift: Num[Array, "3 C"],
    weight: Float[Array, "C K"],
    *,
    scale: Float[Array, " K"] | None = None,
    bias: Float[Array, " K"] | None = None,
    relu: bool = False,
    stride: tuple[int, int, int] = (1, 1, 1),
    quantize: bool = False,
    max_shift: tuple[float, float, float] | None = None,
    implementation: str | None = None,
) -> Num[Array, "B T2 H2 W2 K"]:
    """Shifts as `shift3d` does and mixes the channels: the end of a RubiksNet block.

    `relu(scale * (shift3d(x, shift) @ weight) + bias)`, the scale and the bias being those
    of a batch norm, or a convolution's bias. A kernel computes it without ever writing
    the shifted features to memory; nor does its gradient keep them.

    Differentiable in x, a shift of floats, weight, scale and bias, all by one pass
    backward; in the shift, rounded or not, as `shift3d` is. Where the relu's input is not
    positive nothing goes back. The gradients are the same from run to run.

    What runs is chosen when a program is lowered, and a program on several devices is
    split over the batch, as for `shift3d`. With no name given that may be a kernel for
    the shift and XLA's product, as `CHOICES` has it.

    Args:
      x: features, float32 or bfloat16 ("xla": float64 too).
      shift: rows t, h, w, in places of x; a floating type, or integers.
      weight: the convolution's, rounded to x's dtype for the product.
      scale: of the outputs; None: one.
      bias: of the outputs; None: zero.
      relu: zero where the result is negative.
      stride: (st, sh, sw), whole numbers from 1.
      quantize: round the shift; its gradient is then that of the shift before rounding.
      max_shift: (t, h, w) bounds, as for `shift3d`. "pallas_tpu" needs it.
      implementation: "xla", "pallas_tpu" or "triton" means that one; None the one that
        `CHOICES` names for the platform the program is lowered for.

    Returns:
      `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), K]` of x's dtype. Sums, scale and
      bias are in float32; factors are multiplied as `jax.default_matmul_precision` has it
      by default on the platform: on a TPU rounded to bfloat16, on a GPU to TF32.

    Raises:
      ValueError: a shape, stride, bound, dtype or name that is none of the above.
      NotImplementedError: the named implementation cannot run here; it says why.
    """
    x, shift, of_shift = prepare(
        x, shift, IMPLEMENTATIONS, stride, quantize, max_shift, implementation
    )
    weight = _checked("weight", weight, (x.shape[-1], None), "[C, K] with C as in x")
    outputs = weight.shape[1]
    if outputs == 0:
        raise ValueError(f"weight has no outputs: shape {weight.shape}")
    scale, bias = (
        None if a is None else _checked(name, a, (outputs,), "[K] with K as in weight")
        for name, a in (("scale", scale), ("bias", bias))
    )
    how = ConvHow(of_shift, bool(relu))
    name = implementation
    if name is not None and (why := _missing(name, x, outputs, how)):
        raise NotImplementedError(f"shift3d_conv: {name!r} {why}")
    weight, scale, bias = jax.tree.map(
        functools.partial(varying_as, x), (weight, scale, bias)
    )
    return _conv(x, shift, weight, scale, bias, how)


def _checked(name: str, array, shape, meaning: str):
    array = jnp.asarray(array)
    matches = len(array.shape) == len(shape) and all(
        n in (None, m) for n, m in zip(shape, array.shape, strict=True)
    )
    if not matches:
        want = ", ".join("K" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must be {meaning}: [{want}], got shape {array.shape}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} must be floats, got {array.dtype}")
    return array


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _conv(x, shift, weight, scale, bias, how: ConvHow):
    used, _ = in_use(x, shift, how.shift)
    scale, bias = _affine(x, weight, scale, bias)
    (y,) = _operation(
        x, used, weight.astype(x.dtype), scale, bias, direction="forward", how=how
    )
    return y


def _affine(x, weight, scale, bias):
    """Scale and bias in the type of the sums, whether given or not."""
    sums = jnp.promote_types(x.dtype, jnp.float32)
    outputs = weight.shape[1:]
    return (
        jnp.ones(outputs, sums) if scale is None else scale.astype(sums),
        jnp.zeros(outputs, sums) if bias is None else bias.astype(sums),
    )


def _forward(x, shift, weight, scale, bias, how: ConvHow):
    y = _conv(x, shift, weight, scale, bias, how)
    return y, (x, shift, weight, scale, bias, y if how.relu else None)


def _backward(how: ConvHow, kept, dy):
    x, shift, weight, scale, bias, y = kept
    if how.relu:
        dy = jnp.where(y > 0, dy, jnp.zeros((), dy.dtype))
    used, alive = in_use(x, shift, how.shift)
    factor, _ = _affine(x, weight, scale, bias)
    multiplied = weight.astype(x.dtype)  # as the product had it
    # What goes back to x has scale in the weight, so that no scaled dy is written.
    back = (multiplied * factor[None]).astype(x.dtype)
    dx, dshift, dproduct = _operation(x, used, back, dy, direction="backward", how=how)
    # With z the shifted x and y' = z @ weight: dproduct = z' dy, from which both the
    # weight's and the scale's gradients follow, sum over places of dy * y' being
    # sum over c of weight * dproduct: y' need not be made again.
    dweight = (dproduct * factor[None]).astype(weight.dtype)
    dscale = dbias = None
    if scale is not None:
        dscale = (dproduct * multiplied).sum(axis=0).astype(scale.dtype)
    if bias is not None:
        dbias = dy.astype(factor.dtype).sum(axis=(0, 1, 2, 3)).astype(bias.dtype)
    dshift = jnp.where(alive, dshift, 0).astype(shift.dtype)
    return dx, dshift, dweight, dscale, dbias


_conv.defvjp(_forward, _backward)


def _implementation(implementation, name: str, direction: str, how: ConvHow):
    """A function of the arrays, alone or on every device's part of the batch."""
    options = {
        "stride": how.shift.stride,
        "max_shift": how.shift.max_shift,
        "whole": how.shift.whole,
    }
    if direction == "forward":
        options["relu"] = how.relu
    function = functools.partial(getattr(implementation, direction), **options)

    @jax.named_scope(f"shift3d_conv_{direction}_{name}")
    def run(x, shift, *rest):
        if implementation.splits:
            results = function(x, shift, *rest)
        else:
            # x, shift, weight, and then scale and bias, or dy.
            batched = (True, False, False, False, False)
            if direction == "backward":
                batched = (True, False, False, True)
            # Kernels count in 32 bits, whatever the program around them does.
            with jax.enable_x64(False):
                split = over_batch(function, batched=batched)
                results = split(x, shift.astype(jnp.float32), *rest)
        if direction == "forward":
            return [results]
        dx, *parts = results
        # Over devices too, which is why it is here.
        return [dx, *(p.sum(axis=0) for p in parts)]

    return run


def _choose(platform, devices, x, shift, weight, *_, direction: str, how: ConvHow):
    """What runs on a platform: the named implementation, or that of `CHOICES`."""
    name, of_shift = how.shift.implementation, how.shift
    outputs = weight.shape[1]
    if name is None:
        for c in CHOICES:
            if c.platform != platform or not can_split(x, devices):
                continue
            call = (x.shape, outputs, x.dtype.itemsize, direction)
            fits = _can_run(c.name, x, outputs, how) and c.fits(
                *call, of_shift.stride, of_shift.max_shift
            )
            if fits:
                return _implementation(IMPLEMENTATIONS[c.name], c.name, direction, how)
        name = op.chosen(platform, devices, x, of_shift)
        if name in UNFUSED:
            label = f"unfused_{name}"
            return _implementation(UNFUSED[name], label, direction, how)
    op.check_platform("shift3d_conv", IMPLEMENTATIONS, name, platform, devices, x)
    return _implementation(IMPLEMENTATIONS[name], name, direction, how)


def _reference(*arrays, direction: str, how: ConvHow):
    return _implementation(IMPLEMENTATIONS["xla"], "xla", direction, how)(*arrays)


_operation = make_operation("shift3d_conv", _choose, _reference)


def _can_run(name, x, outputs: int, how: ConvHow) -> bool:
    known = x.dtype.name in IMPLEMENTATIONS[name].dtypes
    return known and not _missing(name, x, outputs, how)


def _missing(name, x, outputs: int, how: ConvHow) -> str | None:
    return IMPLEMENTATIONS[name].missing(
        x, outputs, stride=how.shift.stride, max_shift=how.shift.max_shift
    )
