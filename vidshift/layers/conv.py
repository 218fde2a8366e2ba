"""Convolutions over each frame of a clip."""

import jax
import numpy as np
from flax import nnx

from vidshift.kernels import Frames
from vidshift.kernels.pointwise import pointwise_conv


class FrameConv(nnx.Conv):
    """A 2-D convolution of every frame, `nnx.Conv` in its parameters."""

    def __call__(self, x: Frames) -> Frames:
        data, kernel = self.promote_dtype((x.data, self.kernel[...]), dtype=self.dtype)
        if self.is_pointwise():
            y = pointwise_conv(data, kernel, self.strides)
        else:
            y = jax.lax.conv_general_dilated(
                data,
                kernel,
                self.strides,
                self.padding,
                dimension_numbers=("HWNC", "HWIO", "HWNC"),
                feature_group_count=self.feature_group_count,
            )
        if self.bias is not None:
            y = y + self.bias[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return x.like(y)

    def is_pointwise(self) -> bool:
        """Tells if it is 1x1 over all channels, of places of the frame alone."""
        sides = set(self.kernel_size) == {1} and self.feature_group_count == 1
        return sides and not np.any(self.padding)
