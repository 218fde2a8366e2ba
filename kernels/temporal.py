"""The whole-frame temporal shift of TSM: some channels read the next frame, some the previous.

TSM (Lin et al., ICCV 2019), section 3; the order of the two folds is that of the
official code, which the paper's figure draws the other way round.
"""

import jax.numpy as jnp
from jaxtyping import Array, Num

DIRECTIONS = ("both", "past")


def later(x, *, step):
    """`y[:, t] = x[:, t + step]` for step in (1, -1), zero outside the clip."""
    empty = jnp.zeros_like(x[:, :1])
    if step > 0:
        return jnp.concatenate([x[:, 1:], empty], axis=1)
    return jnp.concatenate([empty, x[:, :-1]], axis=1)


def reference(x, *, fold, direction):
    """Slices, moves and joins channel groups: the operation as one would say it."""
    if direction == "past":
        groups = [later(x[..., :fold], step=-1), x[..., fold:]]
    else:
        groups = [
            later(x[..., :fold], step=1),
            later(x[..., fold : 2 * fold], step=-1),
            x[..., 2 * fold :],
        ]
    return jnp.concatenate(groups, axis=-1)


# None: not written yet, so the name is refused rather than run as something else.
IMPLEMENTATIONS = {"xla": reference, "pallas_tpu": None, "triton": None}


def temporal_shift(
    x: Num[Array, "B T *space C"],
    *,
    fold: int,
    direction: str = "both",
    implementation: str | None = None,
) -> Num[Array, "B T *space C"]:
    """Moves whole frames of some channels by one place in time, zero outside the clip.

    With `direction="both"`, `y[:, t, ..., :fold] = x[:, t + 1]`,
    `y[:, t, ..., fold:2*fold] = x[:, t - 1]`, and the other channels stay.
    With `"past"` only `[0, fold)` moves, and takes frame t - 1: no output reads a
    later frame, so the network can run frame by frame (TSM, section 4.2).
    Pure data movement: every value is bit-equal to an input value or zero.

    Args:
      x: features `[B, T, ..., C]`, any dtype, channels last.
      fold: channels a group, `0 <= fold`, and all groups fit in C.
      direction: "both" or "past".
      implementation: a name in `IMPLEMENTATIONS` means that one; None the best here.

    Returns:
      An array of x's shape and dtype.

    Raises:
      ValueError: x has fewer than three axes, the folds do not fit in C, or a name is
        not in its list.
      NotImplementedError: the named implementation does not exist yet.
    """
    if x.ndim < 3:
        raise ValueError(f"x must be [B, T, ..., C], got shape {x.shape}")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {DIRECTIONS}, got {direction!r}")
    groups = 1 if direction == "past" else 2
    if not 0 <= fold * groups <= x.shape[-1]:
        raise ValueError(
            f"fold={fold}: {groups} fold(s) do not fit in x's {x.shape[-1]} channels"
        )
    name = implementation or "xla"
    if name not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {tuple(IMPLEMENTATIONS)}, got {name!r}"
        )
    if IMPLEMENTATIONS[name] is None:
        raise NotImplementedError(
            f"temporal_shift has no {name!r} kernel yet; 'xla' runs on every platform"
        )
    return IMPLEMENTATIONS[name](x, fold=fold, direction=direction)
