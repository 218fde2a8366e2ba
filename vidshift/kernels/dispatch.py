"""The operations' one dispatch: which implementation runs where, and what none can do.

A named implementation runs or raises. With no name, an operation's `choices` decide when
a program is lowered, by its platform and the shapes; where none fits, the reference runs.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.lowering import make_operation
from vidshift.kernels.sharding import batch_devices, can_split, over_batch

REFERENCE = "xla"  # the plain form of every operation, which runs on every platform
INTERPRETERS = {"pallas_tpu": pltpu.force_tpu_interpret_mode}


class Piece(NamedTuple):
    """A part of an operation that is lowered by itself: its values, or some gradients."""

    batched: tuple[bool, ...]  # which arguments have the batch
    # Which results come as parts, to be summed over the first axis and over devices.
    summed: tuple[bool, ...]
    options: tuple[str, ...]  # fields of the `CallSpec` that its functions take


class Forced(NamedTuple):
    """The arguments of `forced`."""

    name: str
    interpreted: bool
    stand_in: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class CallSpec:
    """The static arguments of a call, known when its program is traced."""

    implementation: str | None
    channels: int  # of x
    out_channels: int = 0  # of the convolution after the shift; 0: the shift alone
    forced: Forced | None = None

    # The axis that has the batch, and the number of devices whose parts this axis counts
    # first (`vidshift.kernels.frames`); None: the axis is the batch alone.
    axis = 0
    parts = None

    def of_one_part(self) -> "CallSpec":
        """The call on one of the devices' parts."""
        return self


class Implementation(NamedTuple):
    """A way to compute an operation.

    `run` has a function of the arrays for each piece. A kernel's bytes and resources are
    functions of (direction, shape of the clips, size of a number or dtype) and, by
    keyword, of `out_channels`, if there is a convolution, and the call's options.
    """

    run: Mapping[str, Callable]
    dtypes: tuple[str, ...] | None = None  # of x; None: every one
    platforms: tuple[str, ...] | None = None  # None: every one
    splits: bool = False  # whether XLA itself can split it over devices
    # (x, CallSpec) -> why this implementation cannot run the call anywhere, or None.
    unsupported: Callable = lambda x, spec: None
    # Bytes that a kernel's programs load and store; None: those of the Pallas grid.
    bytes: Callable | None = None
    resources: Callable | None = None  # registers and spills; None: not known
    # (platform, piece) -> a function that is better there than that of `run`.
    run_on: Mapping[tuple[str, str], Callable] = {}
    named: bool = True  # whether a caller may ask for it


def with_kernels(
    xla: Implementation, functions: Mapping[str, str], *, tpu, gpu, gpu_plan
) -> dict[str, Implementation]:
    """The table of an operation that has a kernel for a TPU and one for an NVIDIA GPU.

    Args:
      functions: piece -> the name of its function in the modules `tpu` and `gpu`.
    """

    def kernel(module, platform: str, **fields) -> Implementation:
        return Implementation(
            run={piece: getattr(module, name) for piece, name in functions.items()},
            dtypes=("float32", "bfloat16"),
            platforms=(platform,),
            unsupported=module.unsupported,
            **fields,
        )

    triton = {"bytes": gpu_plan.fetched_bytes, "resources": gpu.resources}
    return {
        REFERENCE: xla,
        "pallas_tpu": kernel(tpu, "tpu"),
        "triton": kernel(gpu, "cuda", **triton),
    }


class Choice(NamedTuple):
    """With no implementation named, `name` runs on `platform` where `fits` allows."""

    platform: str
    name: str
    reason: str
    fits: Callable = lambda x, piece, spec: True  # (x, piece's name, CallSpec) -> bool


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """An operation's table. Called with a piece's arrays, it returns a list of results.

    An array may be None. The first fitting choice counts.
    """

    name: str
    pieces: Mapping[str, Piece]
    implementations: Mapping[str, Implementation]
    choices: tuple[Choice, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The implementations that a caller may ask for."""
        return tuple(n for n, row in self.implementations.items() if row.named)

    def check(self, x, spec: CallSpec) -> CallSpec:
        """Returns the spec, with the implementation that `forced` asks for.

        Raises:
          ValueError: no implementation has that name, or it does not take x's dtype.
          NotImplementedError: the named implementation cannot run this call anywhere.
        """
        force = _FORCED.value
        if force and spec.implementation in (None, force.name):
            spec = dataclasses.replace(spec, implementation=force.name, forced=force)
        name = REFERENCE if spec.implementation is None else spec.implementation
        if name not in self.names:
            raise ValueError(
                f"implementation must be one of {self.names}, got {name!r}"
            )
        row = self.implementations[name]
        if not _takes(row, x):
            raise ValueError(
                f"{name!r} takes x of {' or '.join(row.dtypes)}, got {x.dtype}"
            )
        if why := row.unsupported(x, spec):
            raise NotImplementedError(f"{self.name}: {name!r} {why}")
        return spec

    def __call__(self, *arrays, piece: str, spec: CallSpec) -> list[jax.Array]:
        if spec.forced and spec.forced.interpreted:
            # The interpreter calls back to the host, which no lowering rule may do.
            (platform,) = self.implementations[spec.implementation].platforms
            return self._function(spec.implementation, piece, spec, platform)(*arrays)
        leaves, tree = jax.tree.flatten(arrays)
        return self._bind(*leaves, piece=piece, spec=spec, tree=tree)

    def chosen(self, platform: str, devices: int, array, piece: str, spec) -> str:
        """The implementation that runs where the caller names none.

        Args:
          array: x, or a gradient of the same places.
        """
        shape = (*array.shape[:-1], spec.channels)
        x = jax.ShapeDtypeStruct(shape, array.dtype)
        for choice in self.choices:
            if choice.platform == platform and can_split(array, devices):
                row = self.implementations[choice.name]
                able = _takes(row, x) and not row.unsupported(x, spec)
                if able and choice.fits(x, piece, spec):
                    return choice.name
        return REFERENCE

    @functools.cached_property
    def _bind(self):
        return make_operation(self.name, self._choose, self._reference)

    def _choose(self, platform, devices, *leaves, piece, spec, tree):
        """A function of the leaves: the named implementation, or the chosen one."""
        array = leaves[0]
        name = spec.implementation
        if name is None:
            name = self.chosen(platform, devices, array, piece, spec)
        row = self.implementations[name]
        anywhere = row.platforms is None or (spec.forced and spec.forced.stand_in)
        if not anywhere and platform not in row.platforms:
            raise NotImplementedError(
                f"{self.name}: {name!r} runs on {' or '.join(row.platforms)} alone, "
                f"not on {platform}; {REFERENCE!r} runs on every platform"
            )
        if not row.splits and not can_split(array, devices):
            raise NotImplementedError(
                f"{self.name}: {name!r} on {devices} devices needs arrays on a mesh of "
                "Auto axes with one axis, or one called 'data', or to be inside a "
                f"shard_map; got {jax.typeof(array).sharding.mesh}"
            )
        return self._of_leaves(name, piece, spec, platform, tree)

    def _reference(self, *leaves, piece, spec, tree):
        return self._of_leaves(REFERENCE, piece, spec, None, tree)(*leaves)

    def _of_leaves(self, name, piece, spec, platform, tree):
        function = self._function(name, piece, spec, platform)

        def run(*leaves):
            return function(*jax.tree.unflatten(tree, leaves))

        run.__name__ = function.__name__
        return run

    def _function(self, name, piece, spec, platform):
        """A function of the arrays, run on each device's part where that is needed.

        The reference, without a platform, says what the whole arrays' results are.
        """
        row, (batched, summed, options) = self.implementations[name], self.pieces[piece]
        stand_in = spec.forced and spec.forced.stand_in
        source = self.implementations[REFERENCE] if stand_in else row
        source = source.run_on.get((platform, piece), source.run[piece])
        direction = "forward" if piece == "forward" else "backward"

        def run(*arrays):
            own_part = (
                platform is not None
                and (spec.parts or 1) > 1
                and batch_devices(arrays[0]) == spec.parts
            )
            call = spec.of_one_part() if own_part else spec
            function = functools.partial(
                source, **{name: getattr(call, name) for name in options}
            )
            if own_part or not row.splits:
                function = over_batch(
                    function,
                    batched=batched,
                    axis=spec.axis,
                    result_axis=0 if all(summed) else spec.axis,
                    parts=spec.parts,
                )
            if row.splits:
                results = function(*arrays)
            else:
                # Kernels count in 32 bits, whatever the program around them does.
                with jax.enable_x64(False):
                    results = function(*jax.tree.map(_in_32_bits, arrays))
            results = results if isinstance(results, tuple | list) else (results,)
            return [
                r.sum(axis=0) if in_parts else r
                for r, in_parts in zip(results, summed, strict=True)
            ]

        run.__name__ = f"{self.name}_{direction}_{name}"
        return jax.named_scope(run.__name__)(run)


_FORCED = jax.make_user_context(None)


@contextlib.contextmanager
def forced(name: str, *, interpret=False, stand_in: bool = False) -> Iterator[None]:
    """Makes every call run one implementation, unless it names another one.

    For tests, and to time implementations of whole layers.

    It is a part of `jax.jit`'s cache key: a program that was traced outside does not run
    inside, nor the other way round. Trace gradients inside too.

    Args:
      name: an implementation. The reference has no need of the options.
      interpret: run the kernel by Pallas' interpreter, where it stands in the program;
        True, or the interpreter's parameters.
      stand_in: run the reference's functions in the implementation's place, on any
        platform: its checks and its split over devices stay.

    Raises:
      NotImplementedError: the implementation has no interpreter.
    """
    interpreted = bool(interpret) and name != REFERENCE
    if interpreted and name not in INTERPRETERS:
        raise NotImplementedError(f"{name!r} has no interpret mode")
    params = () if interpret is True else (interpret,)
    with contextlib.ExitStack() as stack:
        if interpreted:
            stack.enter_context(INTERPRETERS[name](*params))
        stack.enter_context(_FORCED(Forced(name, interpreted, stand_in)))
        yield


def _takes(row: Implementation, x) -> bool:
    return row.dtypes is None or x.dtype.name in row.dtypes


def _in_32_bits(array):
    return array.astype(jnp.float32) if array.dtype == jnp.float64 else array
