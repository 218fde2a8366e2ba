"""`shift3d_conv`: the shift and the 1x1 convolution after it, as one operation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from vidshift.kernels.dispatch import Choice, Operation, Piece, with_kernels
from vidshift.kernels.interpolated.api import OPTIONS, SHIFT3D, within_4_places
from vidshift.kernels.interpolated.arguments import ShiftSpec, in_use, prepare
from vidshift.kernels.interpolated_conv import gpu, gpu_plan, reference, tpu
from vidshift.kernels.sharding import varying_like

# With no implementation named, where no fused kernel is chosen: the kernel that `shift3d`
# would choose, and XLA's product after it.
UNFUSED = {
    f"unfused_{name}": row._replace(
        run=reference.composed(row.run), bytes=None, resources=None, named=False
    )
    for name, row in SHIFT3D.implementations.items()
    if not row.splits
}

SHIFT3D_CONV = Operation(
    "shift3d_conv",
    pieces={
        # x, shift, weight, scale, bias
        "forward": Piece((True, *[False] * 4), (False,), (*OPTIONS, "relu")),
        # x, shift, weight, dy
        "backward": Piece((True, False, False, True), (False, True, True), OPTIONS),
    },
    implementations=with_kernels(
        SHIFT3D.implementations["xla"]._replace(
            run=reference.composed(SHIFT3D.implementations["xla"].run)
        ),
        {"forward": "forward", "backward": "backward"},
        tpu=tpu,
        gpu=gpu,
        gpu_plan=gpu_plan,
    )
    | UNFUSED,
    choices=(
        Choice(
            "tpu",
            "pallas_tpu",
            "reads and writes what the operation has to, forward and backward; the "
            "shifted features, and backward the product's result too, never leave VMEM",
            lambda x, piece, spec: (
                spec.stride[0] == 1 and within_4_places(x, piece, spec)
            ),
        ),
        Choice(
            "cuda",
            "triton",
            "where its tiles' halos and the sums of its programs are fewer bytes than "
            "the shifted features, written once and read once",
            gpu_plan.moves_fewer_bytes,
        ),
        *(c._replace(name=f"unfused_{c.name}") for c in SHIFT3D.choices),
    ),
)


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
    the shift and XLA's product, as `SHIFT3D_CONV.choices` has it.

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
        `SHIFT3D_CONV.choices` names for the platform the program is lowered for.

    Returns:
      `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), K]` of x's dtype. Sums, scale and
      bias are in float32; factors are multiplied as `jax.default_matmul_precision` has it
      by default on the platform: on a TPU rounded to bfloat16, on a GPU to TF32.

    Raises:
      ValueError: a shape, stride, bound, dtype or name that is none of the above.
      NotImplementedError: the named implementation cannot run here; it says why.
    """
    x, shift, spec = prepare(x, shift, stride, quantize, max_shift, implementation)
    weight = _checked("weight", weight, (x.shape[-1], None), "[C, K] with C as in x")
    outputs = weight.shape[1]
    if outputs == 0:
        raise ValueError(f"weight has no outputs: shape {weight.shape}")
    scale, bias = (
        None if a is None else _checked(name, a, (outputs,), "[K] with K as in weight")
        for name, a in (("scale", scale), ("bias", bias))
    )
    spec = dataclasses.replace(spec, out_channels=outputs, relu=bool(relu))
    spec = SHIFT3D_CONV.check(x, spec)
    weight, scale, bias = jax.tree.map(
        lambda array: varying_like(array, x), (weight, scale, bias)
    )
    return _conv(x, shift, weight, scale, bias, spec)


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
def _conv(x, shift, weight, scale, bias, spec: ShiftSpec):
    used, _ = in_use(x, shift, spec)
    scale, bias = _affine(x, weight, scale, bias)
    weight = weight.astype(x.dtype)
    (y,) = SHIFT3D_CONV(x, used, weight, scale, bias, piece="forward", spec=spec)
    return y


def _affine(x, weight, scale, bias):
    """Scale and bias in the type of the sums, whether given or not."""
    sums = jnp.promote_types(x.dtype, jnp.float32)
    outputs = weight.shape[1:]
    return (
        jnp.ones(outputs, sums) if scale is None else scale.astype(sums),
        jnp.zeros(outputs, sums) if bias is None else bias.astype(sums),
    )


def _forward(x, shift, weight, scale, bias, spec: ShiftSpec):
    y = _conv(x, shift, weight, scale, bias, spec)
    return y, (x, shift, weight, scale, bias, y if spec.relu else None)


def _backward(spec: ShiftSpec, kept, dy):
    x, shift, weight, scale, bias, y = kept
    if spec.relu:
        dy = jnp.where(y > 0, dy, jnp.zeros((), dy.dtype))
    used, alive = in_use(x, shift, spec)
    factor, _ = _affine(x, weight, scale, bias)
    multiplied = weight.astype(x.dtype)  # as the product had it
    # What goes back to x has scale in the weight, so that no scaled dy is written.
    back = (multiplied * factor[None]).astype(x.dtype)
    dx, dshift, dproduct = SHIFT3D_CONV(x, used, back, dy, piece="backward", spec=spec)
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
