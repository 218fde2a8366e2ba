"""What the shift's operations are given: checked, and in the form the kernels take."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.interpolated.taps import AXES, clamp


class How(NamedTuple):
    """What is known when the program is traced."""

    stride: tuple[int, int, int]
    max_shift: tuple[float, float, float] | None
    whole: bool  # the shift is rounded, and the output only moves data
    implementation: str | None


def prepare(x, shift, table, stride, quantize, max_shift, implementation):
    """The public arguments -> x, a floating shift that varies as x does, and `How`.

    `table` has the implementations, whose `dtypes` x has to be one of. Raises ValueError.
    """
    how = How(
        _whole_triple("stride", stride, least=1),
        _bounds(max_shift),
        bool(quantize),
        implementation,
    )
    x, shift = jnp.asarray(x), jnp.asarray(shift)
    if x.ndim != 5:
        raise ValueError(f"x must be [B, T, H, W, C], got shape {x.shape}")
    if shift.shape != (3, x.shape[-1]):
        raise ValueError(
            f"shift must be [3, C] with rows {AXES} and C={x.shape[-1]} as in x, "
            f"got shape {shift.shape}"
        )
    _check_implementation(table, implementation, x)
    if jnp.issubdtype(shift.dtype, jnp.integer):
        how = how._replace(whole=True)
        shift = jax.lax.stop_gradient(shift.astype(jnp.float32))
    elif not jnp.issubdtype(shift.dtype, jnp.floating):
        raise ValueError(f"shift must be floats or integers, got {shift.dtype}")
    if 0 in x.shape:
        raise ValueError(f"x has no elements: shape {x.shape}")
    return x, varying_as(x, shift), how


def varying_as(x, shared):
    """`shared`, on every device that has its own x.

    In a `shard_map` of the caller's, where devices share one shift but not x, this is
    what sums the shift's gradient over them.
    """
    over = jax.typeof(x).manual_axis_type.varying
    axes = tuple(over - jax.typeof(shared).manual_axis_type.varying)
    return jax.lax.pcast(shared, axes, to="varying") if axes else shared


def in_use(x, shift, how: How):
    """The clamped shift in the type of the sums, and where its gradient lives."""
    shift = shift.astype(jnp.promote_types(shift.dtype, jnp.float32))
    shift, bounded = clamp(shift, how.max_shift)
    # From a shift by an axis' whole size on, the output is zero and stays so.
    shift, inside = clamp(shift, x.shape[1:4])
    return shift, bounded & inside


def _check_implementation(table, name, x) -> None:
    name = "xla" if name is None else name
    if name not in table:
        raise ValueError(f"implementation must be one of {tuple(table)}, got {name!r}")
    dtypes = table[name].dtypes
    if x.dtype.name not in dtypes:
        raise ValueError(f"{name!r} takes x of {' or '.join(dtypes)}, got {x.dtype}")


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
