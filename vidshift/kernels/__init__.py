"""The operations whose speed matters. Imports nothing of vidshift."""

from vidshift.kernels.frames import Frames
from vidshift.kernels.interpolated import shift3d
from vidshift.kernels.interpolated_conv import shift3d_conv
from vidshift.kernels.temporal import temporal_shift, temporal_shift_conv

__all__ = [
    "Frames",
    "shift3d",
    "shift3d_conv",
    "temporal_shift",
    "temporal_shift_conv",
]
