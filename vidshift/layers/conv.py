"""Convolutions over each frame of a clip."""

import jax
from flax import nnx

from vidshift.kernels import Frames


class FrameConv(nnx.Conv):
    """A 2-D convolution of every frame, `nnx.Conv` in its parameters."""

    def __call__(self, x: Frames) -> Frames:
        data, kernel = self.promote_dtype((x.data, self.kernel[...]), dtype=self.dtype)
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
