"""Named shapes: what the papers' networks really run, for tests, compilation, benchmark.

Clips of 8 frames. RubiksNet's tiers small to large have 72 channels after the stem, tiny
has 54; sides halve and channels double from stage to stage, and the first shift of a
stage from the second on has the stage's channels, the side before, and stride 2 (Fan et
al., 2020, Table A1 and the official code). TSM's shift stands before the first
convolution of a ResNet-50 block (Lin et al., 2019).
"""

from typing import NamedTuple


class Shape(NamedTuple):
    """A call of an operation: features `[B, T, H, W, C]` and the operation's options."""

    name: str
    x: tuple[int, int, int, int, int]
    options: dict
    out_channels: int | None = None  # of a convolution

    @property
    def arguments(self) -> dict:
        """The options, and `out_channels` where there is a convolution."""
        outputs = {"out_channels": self.out_channels} if self.out_channels else {}
        return self.options | outputs


# RubiksNet starts with shifts drawn from (-1, 1).
ONE = (1.0, 1.0, 1.0)


def _rubiks(name, batch, side, channels, *, stride=1, max_shift=ONE):
    options = {"stride": (1, stride, stride), "max_shift": max_shift}
    return Shape(name, (batch, 8, side, side, channels), options)


SHIFT3D = (
    _rubiks("rubiks_112", 8, 112, 72),
    _rubiks("rubiks_56", 8, 56, 72),
    _rubiks("rubiks_28", 32, 28, 144),
    _rubiks("rubiks_14", 32, 14, 288),
    _rubiks("rubiks_7", 32, 7, 576),
    _rubiks("rubiks_112_stride", 8, 112, 72, stride=2),
    _rubiks("rubiks_56_stride", 8, 56, 144, stride=2),
    _rubiks("rubiks_28_stride", 32, 28, 288, stride=2),
    _rubiks("rubiks_14_stride", 32, 14, 576, stride=2),
    _rubiks("rubiks_tiny_56", 8, 56, 54),
    # Shifts that training has moved further.
    _rubiks("rubiks_28_wide", 32, 28, 144, max_shift=(1.0, 3.0, 3.0)),
)

# RubiksNet's last convolution keeps the channels.
SHIFT3D_CONV = tuple(s._replace(out_channels=s.x[-1]) for s in SHIFT3D)


def _tsm(batch, side, channels, out_channels):
    name = f"tsm_{side}" if out_channels * 4 == channels else f"tsm_{side}_next"
    options = {"fold": channels // 8}
    return Shape(name, (batch, 8, side, side, channels), options, out_channels)


# The first convolution of a stage's blocks, and of the next stage's first block.
TEMPORAL_SHIFT_CONV = (
    _tsm(16, 56, 256, 64),
    _tsm(16, 56, 256, 128),
    _tsm(16, 28, 512, 128),
    _tsm(16, 14, 1024, 256),
    _tsm(16, 7, 2048, 512),
)
TEMPORAL_SHIFT = tuple(
    s._replace(out_channels=None)
    for s in TEMPORAL_SHIFT_CONV
    if not s.name.endswith("_next")
)

SHAPES = {
    "shift3d": SHIFT3D,
    "shift3d_conv": SHIFT3D_CONV,
    "temporal_shift": TEMPORAL_SHIFT,
    "temporal_shift_conv": TEMPORAL_SHIFT_CONV,
}
