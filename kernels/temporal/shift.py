"""`temporal_shift`: whole frames of some channels move by one place in time.

TSM (Lin et al., ICCV 2019), section 3; the order of the two folds is that of the
official code, which the paper's figure draws the other way round.
"""

import functools

import jax
from jaxtyping import Array, Num

from kernels.frames import Frames
from kernels.temporal import op
from kernels.temporal.op import How


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
    data, move, like = op.features_of(
        x, fold=fold, direction=direction, implementation=implementation
    )
    how = How(move, implementation)
    op.check("temporal_shift", data, how)
    return like(_shift(data, how))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _shift(x, how: How):
    return op.operation(x, piece="shift", how=how)


def _backward(how: How, _, dy):
    reverse = how.move._replace(reverse=not how.move.reverse)
    return (_shift(dy, how._replace(move=reverse)),)


# Linear, and its transpose is the shift the other way.
_shift.defvjp(lambda x, how: (_shift(x, how), None), _backward)
