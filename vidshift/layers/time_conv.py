"""Convolutions over frames and time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift.kernels import Frames

TPU_LANES = 128  # channels side by side


class TimeConv(nnx.Conv):
    """A 3-D convolution of clips, `nnx.Conv` in its parameters: `[kT, kH, kW, in, out]`.

    Sizes, strides and paddings are those of (time, height, width), paddings as pairs. In
    time the size is odd, and `kT // 2` frames of zeros are around the clip; every
    `strides[0]`-th frame from the first on has a result.

    A kernel of one pixel is one 2-D convolution over (time, the rest), of images that
    are the features as they lie in memory, so nothing is rearranged: on a GPU, where
    XLA puts N first, of (time, clip x place); elsewhere of (time, clip) for each place.
    For fewer than 128 channels a TPU would put clips elsewhere, and rather takes the form
    of larger kernels: a tap in time is a 2-D convolution of every frame, and taps differ
    by whole frames. One 2-D convolution gives the outputs of all taps, moved and added up.

    Raises:
      ValueError: another size or padding in time, or a stride in time of a kernel of more
        than one pixel.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        taps = self.kernel_size[0]
        if taps % 2 == 0 or tuple(self.padding[0]) != (taps // 2, taps // 2):
            raise ValueError(
                "in time a kernel must be odd and padded by half of it on both sides, "
                f"got {taps} frames padded by {self.padding[0]}"
            )
        in_space = (*self.kernel_size[1:], *self.strides[1:])
        self.of_time_alone = set(in_space) == {1}
        if self.strides[0] > 1 and not self.of_time_alone:
            raise ValueError(
                "a stride in time needs kernels of 1 pixel and no stride in space, got "
                f"kernel_size={self.kernel_size}, strides={self.strides}"
            )

    def __call__(self, x: Frames) -> Frames:
        data, kernel = self.promote_dtype((x.data, self.kernel[...]), dtype=self.dtype)
        stride = self.strides[0]
        frames = (x.frames - 1) // stride + 1
        apart = partial(self._taps_apart, x)
        along = partial(self._along_time, x, places_first=True)
        if not self.of_time_alone:
            y = apart(data, kernel)
        else:
            on_tpu = (
                along if stride > 1 or self.out_features % TPU_LANES == 0 else apart
            )
            on_gpu = partial(self._along_time, x, places_first=False)
            y = jax.lax.platform_dependent(
                data, kernel, tpu=on_tpu, cuda=on_gpu, default=along
            )
        if self.bias is not None:
            y = y + self.bias[...].astype(y.dtype).reshape(1, 1, 1, -1)
        return Frames(y, frames, x.parts)

    def _along_time(self, like: Frames, data, kernel, *, places_first) -> jax.Array:
        height, width, _, channels = data.shape
        # Devices' parts always first: merged behind others, none could have its own.
        axes = (2, 0, 1, 3, 4, 5) if places_first else (2, 3, 4, 0, 1, 5)
        sizes = (height, width, like.parts, like.frames, -1, channels)
        images = data.reshape(sizes).transpose(axes)
        sizes = images.shape
        if places_first:  # [parts x H x W, T, B, C]
            images = images.reshape(-1, *sizes[3:])
        else:  # [parts, T, B x H x W, C]
            images = images.reshape(*sizes[:2], -1, channels)
        y = jax.lax.conv_general_dilated(
            images,
            kernel[:, 0],
            (self.strides[0], 1),
            (self.padding[0], (0, 0)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.feature_group_count,
        )
        time, channels = y.shape[1], y.shape[-1]
        sizes = [time if axis == 3 else n for axis, n in zip(axes, sizes, strict=True)]
        y = y.reshape(*sizes[:-1], channels).transpose(np.argsort(axes))
        return y.reshape(height, width, -1, channels)

    def _taps_apart(self, like: Frames, data, kernel) -> jax.Array:
        taps, groups = len(kernel), self.feature_group_count
        # Outputs are counted by group, tap, channel.
        kernel = kernel.reshape(*kernel.shape[:-1], groups, -1)
        kernel = jnp.moveaxis(kernel, 0, -2)
        y = self._frame_conv(data, kernel.reshape(*kernel.shape[:3], -1))
        y = y.reshape(*y.shape[:3], groups, taps, -1)
        return sum(
            other_frame(
                like.like(y[..., t, :].reshape(*y.shape[:3], -1)), t - taps // 2
            )
            for t in range(taps)
        )

    def _frame_conv(self, data: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            data,
            kernel,
            self.strides[1:],
            self.padding[1:],
            dimension_numbers=("HWNC", "HWIO", "HWNC"),
            feature_group_count=self.feature_group_count,
        )


def other_frame(x: Frames, step: int) -> jax.Array:
    """The features of frame t + step, `[H, W, N, C]`; zero outside the clip."""
    *around, channels = x.data.shape
    clips = around[2] // (x.parts * x.frames)
    # Without other parts, rows need no axes of their own.
    rows = x.data
    if x.parts > 1:
        rows = rows.reshape(*around[:2], x.parts, x.frames * clips, channels)
    by = max(-x.frames, min(step, x.frames)) * clips
    padding = [(0, 0, 0)] * rows.ndim
    padding[-2] = (-by, by, 0)
    return jax.lax.pad(rows, jnp.zeros((), rows.dtype), padding).reshape(x.data.shape)
