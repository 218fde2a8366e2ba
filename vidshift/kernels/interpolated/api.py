"""`shift3d`: its implementations, which one runs where, its gradient, its checks."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from vidshift.kernels.dispatch import (
    Choice,
    Implementation,
    Operation,
    Piece,
    with_kernels,
)
from vidshift.kernels.interpolated import gpu, gpu_plan, reference, tpu
from vidshift.kernels.interpolated.arguments import ShiftSpec, in_use, prepare
from vidshift.kernels.interpolated.taps import reach

OPTIONS = ("stride", "max_shift", "whole")


def within_4_places(x, piece, spec: ShiftSpec) -> bool:
    return max(reach(spec.max_shift, x.shape[1:4])) <= 4


SHIFT3D = Operation(
    "shift3d",
    pieces={
        "forward": Piece((True, False), (False,), OPTIONS),
        "backward": Piece((True, False, True), (False, True), OPTIONS),
    },
    implementations=with_kernels(
        Implementation(
            run={"forward": reference.forward, "backward": reference.backward},
            dtypes=("float32", "bfloat16", "float64"),
            splits=True,
        ),
        {"forward": "forward", "backward": "backward"},
        tpu=tpu,
        gpu=gpu,
        gpu_plan=gpu_plan,
    ),
    choices=(
        Choice(
            "tpu",
            "pallas_tpu",
            "its work grows with the window; within 4 places it reads each byte about "
            "once, where XLA writes every axis' result to memory",
            within_4_places,
        ),
        Choice(
            "cuda",
            "triton",
            "one pass over memory, with taps only where some channel has its shift",
        ),
    ),
)


def shift3d(
    x: Num[Array, "B T H W C"],
    shift: Num[Array, "3 C"],
    *,
    stride: tuple[int, int, int] = (1, 1, 1),
    quantize: bool = False,
    max_shift: tuple[float, float, float] | None = None,
    implementation: str | None = None,
) -> Num[Array, "B T2 H2 W2 C"]:
    """Moves each channel by its own real-valued (t, h, w) shift, with interpolation.

    RubiksShift (Fan et al., ECCV 2020, section 3.1), with the official kernel's sign and
    stride: `y[b, t, h, w, c] = x[b, t*st + s[0, c], h*sh + s[1, c], w*sw + s[2, c], c]`,
    trilinear between places and zero outside. A positive shift reads later frames and
    places further down and to the right.

    Differentiable in x and, for a shift of floats, in shift. At a whole number, zero
    included, the gradient is the derivative to the right (from floor and floor + 1) on
    each axis, in every implementation; the official kernel gives something else there.
    The gradients are the same from run to run.

    With `quantize`, each component of the shift is rounded half up for the output and
    for the gradient in x, and the gradient in shift is that of the interpolated shift,
    at the shift before rounding (straight through). A shift of integers has no gradient.
    Both only move data: every output is one of x's values, bit for bit, or zero.

    A program on several devices is split over the batch: on a mesh with one axis that is
    the batch's, on others `data` is. What runs is chosen when a program is lowered, by
    its platform; kernels are left to one device's part where the mesh's axes are not
    `Auto`, or none is known to be the batch's, and "xla" runs there. `jax.vmap` makes a
    loop of calls. To compile for a GPU where none is, see
    `vidshift.kernels.triton_gpu.compiling_for`.

    Args:
      x: features, float32 or bfloat16 ("xla": float64 too).
      shift: rows t, h, w, in places of x; a floating type, or integers.
      stride: (st, sh, sw), whole numbers from 1.
      quantize: round the shift.
      max_shift: (t, h, w) bounds, in places of x. A shift beyond its bound acts as the
        bound (and is then rounded, where it is) and has no gradient, nor has one exactly
        at the upper bound, whose derivative to the right is zero. None: any shift.
        "pallas_tpu" needs it: its work grows with the bound. With a bound, an x that is
        not finite may turn outputs within it into nan that do not read it.
      implementation: "xla", "pallas_tpu" or "triton" means that one; None the one that
        `SHIFT3D.choices` names for the platform the program is lowered for.

    Returns:
      `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), C]` of x's dtype. Sums are in
      float32.

    Raises:
      ValueError: a shape, stride, bound, dtype or name that is none of the above.
      NotImplementedError: the named implementation cannot run here; it says why.
    """
    x, shift, spec = prepare(x, shift, stride, quantize, max_shift, implementation)
    return _shift3d(x, shift, SHIFT3D.check(x, spec))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shift3d(x, shift, spec: ShiftSpec):
    used, _ = in_use(x, shift, spec)
    (y,) = SHIFT3D(x, used, piece="forward", spec=spec)
    return y


def _forward(x, shift, spec: ShiftSpec):
    return _shift3d(x, shift, spec), (x, shift)


def _backward(spec: ShiftSpec, kept, dy):
    x, shift = kept
    used, alive = in_use(x, shift, spec)
    dx, dshift = SHIFT3D(x, used, dy, piece="backward", spec=spec)
    return dx, jnp.where(alive, dshift, 0).astype(shift.dtype)


_shift3d.defvjp(_forward, _backward)
