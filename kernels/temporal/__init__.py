"""The whole-frame temporal shift, alone and fused with the 1x1 convolution after it."""

from kernels.temporal.conv import temporal_shift_conv
from kernels.temporal.op import IMPLEMENTATIONS
from kernels.temporal.shift import temporal_shift

__all__ = ["IMPLEMENTATIONS", "temporal_shift", "temporal_shift_conv"]
