"""The interpolated 3-D shift of RubiksNet: each channel moved by its own (t, h, w)."""

from vidshift.kernels.interpolated.api import SHIFT3D, shift3d

__all__ = ["SHIFT3D", "shift3d"]
