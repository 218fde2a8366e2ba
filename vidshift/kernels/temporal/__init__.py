"""The whole-frame temporal shift, alone and fused with the 1x1 convolution after it."""

from vidshift.kernels.temporal.api import (
    TEMPORAL_SHIFT,
    TEMPORAL_SHIFT_CONV,
    temporal_shift,
    temporal_shift_conv,
)

__all__ = [
    "TEMPORAL_SHIFT",
    "TEMPORAL_SHIFT_CONV",
    "temporal_shift",
    "temporal_shift_conv",
]
