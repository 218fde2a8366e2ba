"""Arguments of the temporal shift's operations: which channels read which frame."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp

from vidshift.kernels.dispatch import CallSpec
from vidshift.kernels.frames import Frames

DIRECTIONS = ("both", "past")


class Move(NamedTuple):
    """A shift by one frame of some channels, as programs know it when they are traced.

    `frames` is None for clips `[B, T, ..., C]`; otherwise features are `[H, W, N, C]`
    as `vidshift.kernels.frames` orders them, with T = `frames` in each of `parts`.
    """

    fold: int
    direction: str
    frames: int | None = None
    parts: int = 1
    reverse: bool = False  # the transpose: what was read from is written to

    def groups(self) -> list[tuple[int, int]]:
        """`(end, step)` of each group of channels: those up to `end` take t + step."""
        sign = -1 if self.reverse else 1
        if self.fold == 0:
            return []
        if self.direction == "past":
            return [(self.fold, -sign)]
        return [(self.fold, sign), (2 * self.fold, -sign)]

    def clips_of_part(self, rows):
        """Clips side by side in each frame of `[H, W, N, C]` with N = rows.

        A whole number, or of a program for any batch (`jax.export`) a symbol.
        """
        return rows // (self.parts * self.frames)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemporalSpec(CallSpec):
    """The static arguments of a temporal shift, alone or before a convolution."""

    move: Move
    affine: bool = False  # there is a scale or a bias
    relu: bool = False

    @property
    def axis(self) -> int:
        return 0 if self.move.frames is None else 2

    @property
    def parts(self) -> int | None:
        return None if self.move.frames is None else self.move.parts

    def of_one_part(self) -> "TemporalSpec":
        return dataclasses.replace(self, move=self.move._replace(parts=1))

    def reversed(self) -> "TemporalSpec":
        """The transposed shift."""
        move = self.move._replace(reverse=not self.move.reverse)
        return dataclasses.replace(self, move=move)


def features_of(x, *, fold, direction, implementation):
    """Returns the array, its `TemporalSpec`, and a function from a result to x's kind.

    Raises:
      ValueError: as `temporal_shift`.
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
    spec = TemporalSpec(
        implementation=implementation, channels=data.shape[-1], move=move
    )
    return data, spec, like
