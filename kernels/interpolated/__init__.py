"""The interpolated 3-D shift of RubiksNet: each channel moved by its own (t, h, w).

Alone, and with the 1x1 convolution after it.
"""

from kernels.interpolated import conv
from kernels.interpolated.conv import shift3d_conv
from kernels.interpolated.op import CHOICES, IMPLEMENTATIONS, shift3d

CONV_CHOICES, CONV_IMPLEMENTATIONS = conv.CHOICES, conv.IMPLEMENTATIONS

__all__ = [
    "CHOICES",
    "CONV_CHOICES",
    "CONV_IMPLEMENTATIONS",
    "IMPLEMENTATIONS",
    "shift3d",
    "shift3d_conv",
]
