"""`shift3d`: its implementations, which one runs where, its gradient, its checks."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from kernels.interpolated import gpu, tpu, xla
from kernels.interpolated.taps import AXES, clamp, reach
from kernels.platforms import make_operation
from kernels.sharding import can_split, over_batch


class Implementation(NamedTuple):
    """`forward` and `backward` with the signatures of `kernels.interpolated.xla`."""

    forward: Callable
    backward: Callable
    dtypes: tuple[str, ...]
    platforms: tuple[str, ...] | None  # None: every one
    # Whether XLA itself can split it over devices.
    splits: bool
    # x, stride=, max_shift= -> what keeps this call from running here, or None.
    missing: Callable


IMPLEMENTATIONS = {
    "xla": Implementation(
        forward=xla.forward,
        backward=xla.backward,
        dtypes=("float32", "bfloat16", "float64"),
        platforms=None,
        splits=True,
        missing=lambda x, stride, max_shift: None,
    ),
    "pallas_tpu": Implementation(
        forward=tpu.forward,
        backward=tpu.backward,
        dtypes=("float32", "bfloat16"),
        platforms=("tpu",),
        splits=False,
        missing=tpu.missing,
    ),
    "triton": Implementation(
        forward=gpu.forward,
        backward=gpu.backward,
        dtypes=("float32", "bfloat16"),
        platforms=("cuda",),
        splits=False,
        missing=gpu.missing,
    ),
}


class Choice(NamedTuple):
    """With no implementation named, `name` runs on `platform` where `fits` allows."""

    platform: str
    name: str
    fits: Callable  # (x's shape, max_shift) -> bool
    reason: str


# Platforms that are not here, and calls that do not fit, run "xla".
CHOICES = (
    Choice(
        "tpu",
        "pallas_tpu",
        lambda shape, max_shift: max(reach(max_shift, shape[1:4])) <= 4,
        "its work grows with the window; within 4 places it reads each byte about once, "
        "where XLA writes every axis' result to memory",
    ),
    Choice(
        "cuda",
        "triton",
        lambda shape, max_shift: True,
        "one pass over memory, with taps only where some channel has its shift",
    ),
)


class How(NamedTuple):
    """What is known when the program is traced."""

    stride: tuple[int, int, int]
    max_shift: tuple[float, float, float] | None
    whole: bool  # the shift is rounded, and the output only moves data
    implementation: str | None


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
    loop of calls. To compile for a GPU where none is, see `gpu.compiling_for`.

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
        `CHOICES` names for the platform the program is lowered for.

    Returns:
      `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), C]` of x's dtype. Sums are in
      float32.

    Raises:
      ValueError: a shape, stride, bound, dtype or name that is none of the above.
      NotImplementedError: the named implementation cannot run here; it says why.
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
    _check_implementation(how, x)
    if jnp.issubdtype(shift.dtype, jnp.integer):
        how = how._replace(whole=True)
        shift = jax.lax.stop_gradient(shift.astype(jnp.float32))
    elif not jnp.issubdtype(shift.dtype, jnp.floating):
        raise ValueError(f"shift must be floats or integers, got {shift.dtype}")
    if 0 in x.shape:
        raise ValueError(f"x has no elements: shape {x.shape}")
    # In a `shard_map` of the caller's, where devices share one shift but not x, this is
    # what sums the shift's gradient over them.
    over = jax.typeof(x).manual_axis_type.varying
    if axes := tuple(over - jax.typeof(shift).manual_axis_type.varying):
        shift = jax.lax.pcast(shift, axes, to="varying")
    return _shift3d(x, shift, how)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shift3d(x, shift, how: How):
    in_use, _ = _in_use(x, shift, how)
    (y,) = _operation(x, in_use, direction="forward", how=how)
    return y


def _forward(x, shift, how: How):
    return _shift3d(x, shift, how), (x, shift)


def _backward(how: How, kept, dy):
    x, shift = kept
    in_use, alive = _in_use(x, shift, how)
    dx, dshift = _operation(x, in_use, dy, direction="backward", how=how)
    return dx, jnp.where(alive, dshift, 0).astype(shift.dtype)


_shift3d.defvjp(_forward, _backward)


def _in_use(x, shift, how: How):
    """The clamped shift in the type of the sums, and where its gradient lives."""
    shift = shift.astype(jnp.promote_types(shift.dtype, jnp.float32))
    shift, bounded = clamp(shift, how.max_shift)
    # From a shift by an axis' whole size on, the output is zero and stays so.
    shift, inside = clamp(shift, x.shape[1:4])
    return shift, bounded & inside


def _implementation(name: str, direction: str, how: How):
    """A function of the arrays, alone or on every device's part of the batch."""
    implementation = IMPLEMENTATIONS[name]
    function = functools.partial(
        getattr(implementation, direction),
        stride=how.stride,
        max_shift=how.max_shift,
        whole=how.whole,
    )

    @jax.named_scope(f"shift3d_{direction}_{name}")
    def run(x, shift, *dy):
        if implementation.splits:
            results = function(x, shift, *dy)
        else:
            # Kernels count in 32 bits, whatever the program around them does.
            with jax.enable_x64(False):
                batched = (True, False, True)[: 2 + len(dy)]
                split = over_batch(function, batched=batched)
                results = split(x, shift.astype(jnp.float32), *dy)
        if direction == "forward":
            return [results]
        dx, parts = results
        return [dx, parts.sum(axis=0)]  # over devices too, which is why it is here

    return run


def _choose(platform: str, devices: int, x, *_, direction: str, how: How):
    """What runs on a platform: the named implementation, or that of `CHOICES`."""
    name = how.implementation
    if name is None:
        fitting = [
            c.name
            for c in CHOICES
            if c.platform == platform and _can_run(c.name, x, how)
            if c.fits(x.shape, how.max_shift) and can_split(x, devices)
        ]
        name = (*fitting, "xla")[0]
    platforms = IMPLEMENTATIONS[name].platforms
    if platforms is not None and platform not in platforms:
        raise NotImplementedError(
            f"shift3d: {name!r} runs on {' or '.join(platforms)} alone, not on "
            f"{platform}; 'xla' runs on every platform"
        )
    if not IMPLEMENTATIONS[name].splits and not can_split(x, devices):
        raise NotImplementedError(
            f"shift3d: {name!r} on {devices} devices needs arrays on a mesh of Auto axes "
            "with one axis, or one called 'data', or to be inside a shard_map; got "
            f"{jax.typeof(x).sharding.mesh}"
        )
    return _implementation(name, direction, how)


def _reference(*arrays, direction: str, how: How):
    return _implementation("xla", direction, how)(*arrays)


_operation = make_operation("shift3d", _choose, _reference)


def _can_run(name, x, how: How) -> bool:
    return x.dtype.name in IMPLEMENTATIONS[name].dtypes and not _missing(name, x, how)


def _missing(name, x, how: How) -> str | None:
    return IMPLEMENTATIONS[name].missing(x, stride=how.stride, max_shift=how.max_shift)


def _check_implementation(how: How, x) -> None:
    name = "xla" if how.implementation is None else how.implementation
    if name not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {tuple(IMPLEMENTATIONS)}, got {name!r}"
        )
    dtypes = IMPLEMENTATIONS[name].dtypes
    if x.dtype.name not in dtypes:
        raise ValueError(f"{name!r} takes x of {' or '.join(dtypes)}, got {x.dtype}")
    if missing := _missing(name, x, how):
        raise NotImplementedError(f"shift3d: {name!r} {missing}")


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
