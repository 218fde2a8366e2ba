"""The operations whose speed matters. Imports nothing of vidshift."""

from kernels.temporal import temporal_shift

__all__ = ["temporal_shift"]
