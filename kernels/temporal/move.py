"""Which channels read which frame, and where in an array the frames are."""

from typing import NamedTuple

DIRECTIONS = ("both", "past")


class Move(NamedTuple):
    """A shift by one frame of some channels, as programs know it when they are traced.

    `frames` is None for clips `[B, T, ..., C]`; otherwise features are `[H, W, N, C]`
    as `kernels.frames` orders them, with T = `frames` in each of `parts`.
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
