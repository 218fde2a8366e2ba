"""Which implementation of the temporal shift's operations runs where."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.frames import Frames
from kernels.platforms import make_operation
from kernels.sharding import batch_devices, can_split, over_batch
from kernels.temporal import gpu_layout, tpu, xla
from kernels.temporal.move import DIRECTIONS, Move

# piece -> which of its arrays have the batch. The gradient in the weights comes as one
# part a device; the others are `[H, W, N, ...]` or `[B, T, ...]`.
PIECES = {
    "shift": (True,),
    "conv": (True, False, False, False),
    "conv_dx": (True, False),
    "conv_dw": (True, True),
}


class How(NamedTuple):
    """What is known when the program is traced."""

    move: Move
    implementation: str | None
    out_channels: int = 0
    relu: bool = False
    # Which of scale and bias are there.
    extras: tuple[str, ...] = ()


class Implementation(NamedTuple):
    """`functions` has each of `PIECES` with the signature of `kernels.temporal.xla`."""

    functions: object
    dtypes: tuple[str, ...] | None  # None: every one
    platforms: tuple[str, ...] | None  # None: every one
    # Whether XLA itself can split it over devices.
    splits: bool
    # x, out_channels, move= -> what keeps the call from running here, or None.
    missing: Callable


IMPLEMENTATIONS = {
    "xla": Implementation(xla, None, None, True, lambda x, k, *, move: None),
    "pallas_tpu": Implementation(
        tpu, ("float32", "bfloat16"), ("tpu",), False, tpu.missing
    ),
    "triton": Implementation(
        gpu_layout, ("float32", "bfloat16"), ("cuda",), False, gpu_layout.missing
    ),
}


class Choice(NamedTuple):
    """With no implementation named, `name` runs a piece on `platform` where it `fits`."""

    platform: str
    piece: str
    name: str
    fits: Callable  # x, How -> bool
    reason: str


def beyond_vmem(x, how: How) -> bool:
    """Whether a TPU has to read a device's part of x from its main memory."""
    size_bytes = x.size * x.dtype.itemsize // how.move.parts
    return how.move.frames is not None and size_bytes > tpu.VMEM_BYTES


# Platforms and pieces that are not here, and calls that do not fit, run "xla".
CHOICES = (
    Choice(
        "tpu",
        "conv",
        "pallas_tpu",
        lambda x, how: (
            bool(how.extras) and how.out_channels % 128 == 0 and beyond_vmem(x, how)
        ),
        "XLA reads the three copies of each channel that it selects from at half of the "
        "memory's speed. Features that fit VMEM it keeps there, which no kernel can ask "
        "for; of a product without scale and bias it makes the statistics of a batch "
        "norm as it writes it, for which a kernel's result is read once more; and its "
        "own order of fewer than 128 channels costs copies",
    ),
    Choice(
        "tpu",
        "conv_dw",
        "pallas_tpu",
        beyond_vmem,
        "as in the forward pass; the result is small",
    ),
    *(
        Choice(
            "cuda",
            piece,
            "triton",
            lambda x, how: True,
            "the convolution's library cannot select what it reads: a shift of its own "
            "is a pass over memory",
        )
        for piece in ("conv", "conv_dx", "conv_dw")
    ),
)


def operation(*arrays, piece: str, how: How):
    """One of `PIECES` as a primitive, chosen when it is lowered."""
    (result,) = _operation(*arrays, piece=piece, how=how)
    return result


def features_of(x, *, fold, direction, implementation):
    """-> the array, its `Move`, and what makes the same kind of x of a result.

    Raises:
      ValueError: as `temporal_shift`.
      NotImplementedError: as `temporal_shift`.
    """
    if int(fold) != fold:
        raise ValueError(f"fold must be a whole number, got {fold!r}")
    if isinstance(x, Frames):
        x.check()
        data, like = x.data, x.like
        move = Move(int(fold), direction, x.frames, x.parts)
    else:
        data, like = jnp.asarray(x), lambda y: y
        move = Move(int(fold), direction)
        if data.ndim < 3:
            raise ValueError(f"x must be [B, T, ..., C], got shape {data.shape}")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {DIRECTIONS}, got {direction!r}")
    groups = 1 if direction == "past" else 2
    if not 0 <= fold * groups <= data.shape[-1]:
        raise ValueError(
            f"fold={fold}: {groups} fold(s) do not fit in x's {data.shape[-1]} channels"
        )
    if implementation is not None and implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"implementation must be one of {tuple(IMPLEMENTATIONS)}, "
            f"got {implementation!r}"
        )
    return data, move, like


def check(op: str, x, how: How) -> None:
    """Refuses a named implementation that cannot run this call anywhere.

    Raises:
      ValueError: a dtype that it does not take.
      NotImplementedError: it says why.
    """
    name = how.implementation
    if name is None:
        return
    dtypes = IMPLEMENTATIONS[name].dtypes
    if dtypes is not None and x.dtype.name not in dtypes:
        raise ValueError(f"{name!r} takes x of {' or '.join(dtypes)}, got {x.dtype}")
    if missing := _missing(name, x, how):
        raise NotImplementedError(f"{op}: {name!r} {missing}")


def _missing(name, x, how: How) -> str | None:
    return IMPLEMENTATIONS[name].missing(x, how.out_channels, move=how.move)


def _features(arrays, piece: str, how: How):
    """The shape that `missing` and `fits` look at: x's, also where only dz is there."""
    if piece != "conv_dx":
        return arrays[0]
    dz, weight = arrays
    return jax.ShapeDtypeStruct((*dz.shape[:-1], weight.shape[0]), dz.dtype)


def _choose(platform: str, devices: int, *arrays, piece: str, how: How):
    """What runs on a platform: the named implementation, or that of `CHOICES`."""
    name, x = how.implementation, _features(arrays, piece, how)
    able = can_split(arrays[0], devices)
    if name is None:
        fitting = [
            c.name
            for c in CHOICES
            if (c.platform, c.piece) == (platform, piece) and able and c.fits(x, how)
            if x.dtype.name in IMPLEMENTATIONS[c.name].dtypes
            if not _missing(c.name, x, how)
        ]
        name = (*fitting, "xla")[0]
    implementation = IMPLEMENTATIONS[name]
    if implementation.platforms and platform not in implementation.platforms:
        raise NotImplementedError(
            f"temporal_shift: {name!r} runs on {' or '.join(implementation.platforms)} "
            f"alone, not on {platform}; 'xla' runs on every platform"
        )
    if not implementation.splits and not able:
        raise NotImplementedError(
            f"temporal_shift: {name!r} on {devices} devices needs arrays on a mesh of "
            "Auto axes with one axis, or one called 'data', or to be inside a "
            f"shard_map; got {jax.typeof(arrays[0]).sharding.mesh}"
        )
    return functools.partial(_run, name, piece, how, platform)


def _run(name: str, piece: str, how: How, platform: str | None, *arrays):
    """Runs a piece on every device's part of the batch."""
    implementation, move = IMPLEMENTATIONS[name], how.move
    batched = PIECES[piece][: len(arrays)]
    # The reference, without a platform, says what the whole arrays' results are.
    own_parts = (
        platform is not None
        and move.parts > 1
        and batch_devices(arrays[0]) == move.parts
    )
    if own_parts:
        move = move._replace(parts=1)
    function = functools.partial(_piece, name, piece, how, move, platform)
    if platform is None or (implementation.splits and not own_parts):
        return [_summed(piece, function(*arrays))]
    frames = move.frames is not None
    split = over_batch(
        function,
        batched=batched,
        axis=2 if frames else 0,
        result_axis=0 if piece == "conv_dw" else None,
        parts=how.move.parts if frames else None,
    )
    if implementation.splits:
        return [_summed(piece, split(*arrays))]
    # Kernels count in 32 bits, whatever the program around them does.
    with jax.enable_x64(False):
        return [_summed(piece, split(*arrays))]


def _summed(piece: str, result):
    """The devices' parts of a gradient become one."""
    return result.sum(0) if piece == "conv_dw" else result


def _piece(name, piece, how: How, move: Move, platform, *arrays):
    functions = IMPLEMENTATIONS[name].functions
    op = "temporal_shift" if piece == "shift" else "temporal_shift_conv"
    direction = "backward" if piece in ("conv_dx", "conv_dw") else "forward"
    if piece == "shift" and move.reverse:
        direction = "backward"
    with jax.named_scope(f"{op}_{direction}_{name}"):
        if piece == "conv":
            x, weight, *extras = arrays
            given = dict(zip(how.extras, extras, strict=True))
            return functions.conv(
                x,
                weight,
                given.get("scale"),
                given.get("bias"),
                relu=how.relu,
                move=move,
            )
        if (name, piece, platform) == ("xla", "conv_dx", "tpu") and move.frames:
            return xla.conv_dx_of_moved(*arrays, move=move)
        return getattr(functions, piece)(*arrays, move=move)


def _reference(*arrays, piece: str, how: How):
    return _run("xla", piece, how, None, *arrays)


_operation = make_operation("temporal_shift", _choose, _reference)
