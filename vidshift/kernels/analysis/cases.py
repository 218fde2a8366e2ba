"""Cases to compile and to time: operation x implementation x direction x shape."""

import argparse
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vidshift.kernels.analysis.shapes import SHAPES, Shape
from vidshift.kernels.dispatch import Implementation, Operation
from vidshift.kernels.frames import Frames
from vidshift.kernels.interpolated import SHIFT3D, shift3d
from vidshift.kernels.interpolated_conv import SHIFT3D_CONV, shift3d_conv
from vidshift.kernels.temporal import (
    TEMPORAL_SHIFT,
    TEMPORAL_SHIFT_CONV,
    temporal_shift,
    temporal_shift_conv,
)


class MeasuredOperation(NamedTuple):
    """An operation, and the facts that a call of it needs."""

    operation: Operation
    function: Callable
    learned_shift: bool = False  # the second array
    in_frames: bool = False  # takes `Frames`
    linear: bool = False  # its transpose needs no x


OPERATIONS = {
    row.operation.name: row
    for row in (
        MeasuredOperation(SHIFT3D, shift3d, learned_shift=True),
        MeasuredOperation(SHIFT3D_CONV, shift3d_conv, learned_shift=True),
        MeasuredOperation(TEMPORAL_SHIFT, temporal_shift, in_frames=True, linear=True),
        MeasuredOperation(TEMPORAL_SHIFT_CONV, temporal_shift_conv, in_frames=True),
    )
}
# "backward" is the vector-Jacobian product alone: (x, shift, dy) -> (dx, dshift). The
# convolutions are those of a network in training: without scale, bias and ReLU.
DIRECTIONS = ("forward", "backward")
DTYPES = ("bfloat16", "float32")


class Case(NamedTuple):
    op: str
    implementation: str
    direction: str
    shape: Shape
    dtype: str
    # Features as `vidshift.kernels.frames` orders them, which is how a TPU has them.
    in_frames: bool = False

    @property
    def name(self) -> str:
        """Name of the operation's scope too, so that a trace has it twice."""
        return f"{self.op}_{self.direction}_{self.implementation}"

    @property
    def table_row(self) -> Implementation:
        return OPERATIONS[self.op].operation.implementations[self.implementation]

    @property
    def platforms(self) -> tuple[str, ...] | None:
        """Where it runs; None: everywhere."""
        return self.table_row.platforms

    def row(self) -> dict:
        """First fields of a command's row, as JSON has them."""
        row = self._asdict() | {"shape": self.shape.name, "x": self.shape.x}
        return row | {"out_channels": self.shape.out_channels}

    def on(self, platform: str) -> "Case":
        """The same with its features in the order that a platform has them in."""
        in_frames = OPERATIONS[self.op].in_frames and platform == "tpu"
        return self._replace(in_frames=in_frames)

    def function(self):
        """The operation, or its vector-Jacobian product with dy as the last argument."""

        def forward(x, *others):
            y = OPERATIONS[self.op].function(
                Frames(x, self.shape.x[1]) if self.in_frames else x,
                *others,
                implementation=self.implementation,
                **self.shape.options,
            )
            return y.data if self.in_frames else y

        def backward(*arrays):
            *primals, dy = arrays
            return jax.vjp(forward, *primals)[1](dy)

        function = forward if self.direction == "forward" else backward
        function.__name__ = self.name  # the program's name in a trace and in a dump
        return function

    def primals(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of what is differentiated; all but x is float32."""
        batch, frames, height, width, channels = x = self.shape.x
        if self.in_frames:
            x = (height, width, batch * frames, channels)
        primals = {"x": jax.ShapeDtypeStruct(x, jnp.dtype(self.dtype))}
        if OPERATIONS[self.op].learned_shift:
            primals["shift"] = jax.ShapeDtypeStruct((3, channels), jnp.float32)
        if self.shape.out_channels:
            weight = (channels, self.shape.out_channels)
            primals["weight"] = jax.ShapeDtypeStruct(weight, jnp.float32)
        return primals

    def arguments(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes and dtypes of `function`'s arguments."""
        primals = tuple(self.primals().values())
        if self.direction == "forward":
            return primals
        forward = self._replace(direction="forward", implementation="xla").function()
        return (*primals, jax.eval_shape(forward, *primals))

    def least_arrays(self) -> list[jax.ShapeDtypeStruct]:
        """Arrays that any implementation has to read once or to write once."""
        arguments = self.arguments()
        plain = self._replace(implementation="xla").function()
        results = jax.tree.leaves(jax.eval_shape(plain, *arguments))
        if OPERATIONS[self.op].linear and self.direction == "backward":
            arguments = arguments[1:]
        return [*arguments, *results]


def all_cases(
    *, op=None, implementation=None, shape=None, dtype: str = "bfloat16"
) -> list[Case]:
    """Every case, or those of one operation, implementation or named shape."""
    return [
        Case(o, i, direction, s, dtype)
        for o in OPERATIONS
        for s in SHAPES[o]
        for direction in DIRECTIONS
        for i in OPERATIONS[o].operation.names
        if op in (None, o) and implementation in (None, i) and shape in (None, s.name)
    ]


def chosen(options: argparse.Namespace) -> list[Case]:
    """Returns the cases that a command's options choose.

    Raises:
      ValueError: there is no such operation, implementation, shape or dtype.
    """
    pick("--op", options.op, OPERATIONS)
    operations = [options.op] if options.op else list(OPERATIONS)
    implementations = [n for o in operations for n in OPERATIONS[o].operation.names]
    pick("--implementation", options.implementation, implementations)
    pick("--shape", options.shape, [s.name for o in operations for s in SHAPES[o]])
    pick("--dtype", options.dtype, DTYPES)
    return all_cases(
        op=options.op,
        implementation=options.implementation,
        shape=options.shape,
        dtype=options.dtype,
    )


def pick(flag: str, name: str | None, names: Iterable[str]) -> None:
    """Raises a ValueError that lists the names if one is given that is not among them."""
    if name is not None and name not in names:
        listed = ", ".join(dict.fromkeys(names))
        raise ValueError(f"{flag}={name}: there are {listed}")
