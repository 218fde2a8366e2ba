"""Arguments of the shift's operations: checked, and in the form that the kernels take."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.kernels.dispatch import CallSpec
from vidshift.kernels.interpolated.taps import AXES, clamp
from vidshift.kernels.sharding import varying_like


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftSpec(CallSpec):
    """The static arguments of a shift, alone or before a convolution."""

    stride: tuple[int, int, int]
    max_shift: tuple[float, float, float] | None
    whole: bool  # the shift is rounded, and the output only moves data
    relu: bool = False  # after the convolution


def prepare(x, shift, stride, quantize, max_shift, implementation):
    """Returns x, a floating shift that varies as x does, and the `ShiftSpec`.

    Raises:
      ValueError: an argument is not as `shift3d` needs it.
    """
    x, shift = jnp.asarray(x), jnp.asarray(shift)
    stride, max_shift = _whole_triple("stride", stride, least=1), _bounds(max_shift)
    if x.ndim != 5:
        raise ValueError(f"x must be [B, T, H, W, C], got shape {x.shape}")
    if shift.shape != (3, x.shape[-1]):
        raise ValueError(
            f"shift must be [3, C] with rows {AXES} and C={x.shape[-1]} as in x, "
            f"got shape {shift.shape}"
        )
    integers = jnp.issubdtype(shift.dtype, jnp.integer)
    if integers:
        shift = jax.lax.stop_gradient(shift.astype(jnp.float32))
    elif not jnp.issubdtype(shift.dtype, jnp.floating):
        raise ValueError(f"shift must be floats or integers, got {shift.dtype}")
    if 0 in x.shape:
        raise ValueError(f"x has no elements: shape {x.shape}")
    spec = ShiftSpec(
        implementation=implementation,
        channels=x.shape[-1],
        stride=stride,
        max_shift=max_shift,
        whole=bool(quantize) or integers,
    )
    return x, varying_like(shift, x), spec


def in_use(x, shift, spec: ShiftSpec):
    """The clamped shift in the type of the sums, and where its gradient lives."""
    shift = shift.astype(jnp.promote_types(shift.dtype, jnp.float32))
    shift, bounded = clamp(shift, spec.max_shift)
    # From a shift by an axis' whole size on, the output is zero and stays so.
    shift, inside = clamp(shift, x.shape[1:4])
    return shift, bounded & inside


def _whole_triple(name: str, values, *, least: int) -> tuple[int, int, int]:
    try:
        triple = tuple(values)
        whole = tuple(int(v) for v in triple)
    except (TypeError, ValueError, OverflowError):
        triple, whole = values, None
    if whole is None or len(whole) != 3 or whole != triple or min(whole) < least:
        raise ValueError(
            f"{name} must be three whole numbers (t, h, w) from {least}, got {values!r}"
        )
    return whole


def _bounds(max_shift) -> tuple[float, float, float] | None:
    if max_shift is None:
        return None
    try:
        if isinstance(max_shift, (str, set)):
            raise TypeError
        bounds = tuple(float(m) for m in max_shift)
    except (TypeError, ValueError):
        bounds = ()
    if len(bounds) != 3 or not np.all(np.isfinite(bounds)) or min(bounds) < 0:
        raise ValueError(
            f"max_shift must be None or three finite numbers (t, h, w) from 0, "
            f"got {max_shift!r}"
        )
    return bounds
