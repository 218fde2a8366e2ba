"""The interpolated 3-D shift of RubiksNet: each channel moved by its own (t, h, w)."""

from kernels.interpolated.op import CHOICES, IMPLEMENTATIONS, shift3d

__all__ = ["CHOICES", "IMPLEMENTATIONS", "shift3d"]
