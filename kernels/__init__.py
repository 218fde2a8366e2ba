"""The operations whose speed matters. Imports nothing of vidshift."""

from kernels.interpolated import shift3d
from kernels.temporal import temporal_shift

__all__ = ["shift3d", "temporal_shift"]
