"""`shift3d`: its implementations, which one runs where, its gradient, its checks."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from kernels.interpolated import gpu, tpu, xla
from kernels.interpolated.arguments import How, in_use, prepare
from kernels.interpolated.taps import reach
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
    x, shift, how = prepare(
        x, shift, IMPLEMENTATIONS, stride, quantize, max_shift, implementation
    )
    _check_can_run(how, x)
    return _shift3d(x, shift, how)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shift3d(x, shift, how: How):
    used, _ = in_use(x, shift, how)
    (y,) = _operation(x, used, direction="forward", how=how)
    return y


def _forward(x, shift, how: How):
    return _shift3d(x, shift, how), (x, shift)


def _backward(how: How, kept, dy):
    x, shift = kept
    used, alive = in_use(x, shift, how)
    dx, dshift = _operation(x, used, dy, direction="backward", how=how)
    return dx, jnp.where(alive, dshift, 0).astype(shift.dtype)


_shift3d.defvjp(_forward, _backward)


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
        name = chosen(platform, devices, x, how)
    check_platform("shift3d", IMPLEMENTATIONS, name, platform, devices, x)
    return _implementation(name, direction, how)


def chosen(platform: str, devices: int, x, how: How) -> str:
    """Of `CHOICES`, what runs where none is named."""
    fitting = [
        c.name
        for c in CHOICES
        if c.platform == platform and _can_run(c.name, x, how)
        if c.fits(x.shape, how.max_shift) and can_split(x, devices)
    ]
    return (*fitting, "xla")[0]


def check_platform(operation: str, table, name, platform: str, devices: int, x) -> None:
    """Raises NotImplementedError where `table[name]` cannot run."""
    platforms = table[name].platforms
    if platforms is not None and platform not in platforms:
        raise NotImplementedError(
            f"{operation}: {name!r} runs on {' or '.join(platforms)} alone, not on "
            f"{platform}; 'xla' runs on every platform"
        )
    if not table[name].splits and not can_split(x, devices):
        raise NotImplementedError(
            f"{operation}: {name!r} on {devices} devices needs arrays on a mesh of Auto "
            "axes with one axis, or one called 'data', or to be inside a shard_map; got "
            f"{jax.typeof(x).sharding.mesh}"
        )


def _reference(*arrays, direction: str, how: How):
    return _implementation("xla", direction, how)(*arrays)


_operation = make_operation("shift3d", _choose, _reference)


def _can_run(name, x, how: How) -> bool:
    return x.dtype.name in IMPLEMENTATIONS[name].dtypes and not _missing(name, x, how)


def _missing(name, x, how: How) -> str | None:
    return IMPLEMENTATIONS[name].missing(x, stride=how.stride, max_shift=how.max_shift)


def _check_can_run(how: How, x) -> None:
    name = how.implementation
    if name is not None and (missing := _missing(name, x, how)):
        raise NotImplementedError(f"shift3d: {name!r} {missing}")
