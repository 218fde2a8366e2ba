"""The interpolated 3-D shift and the 1x1 convolution after it, as one operation."""

from vidshift.kernels.interpolated_conv.api import SHIFT3D_CONV, shift3d_conv

__all__ = ["SHIFT3D_CONV", "shift3d_conv"]
