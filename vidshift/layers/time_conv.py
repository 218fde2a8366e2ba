"""Convolutions over frames and time."""

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames


class TimeConv(nnx.Conv):
    """A 3-D convolution of clips, `nnx.Conv` in its parameters: `[kT, kH, kW, in, out]`.

    Sizes, strides and paddings are those of (time, height, width), paddings as pairs. In
    time the size is odd, and `kT // 2` frames of zeros are around the clip; every
    `strides[0]`-th frame from the first on has a result.

    A tap in time is a 2-D convolution of every frame, and taps differ by whole frames,
    which are whole rows of N. With a stride of 1 in time, one 2-D convolution gives the
    outputs of all taps, and these are moved and added up; with a larger one the frames
    that the taps read are put side by side as channels, and no other is convolved.

    Raises:
      ValueError: another size or padding in time.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        taps = self.kernel_size[0]
        if taps % 2 == 0 or tuple(self.padding[0]) != (taps // 2, taps // 2):
            raise ValueError(
                "in time a kernel must be odd and padded by half of it on both sides, "
                f"got {taps} frames padded by {self.padding[0]}"
            )

    def __call__(self, x: Frames) -> Frames:
        data, kernel = self.promote_dtype((x.data, self.kernel[...]), dtype=self.dtype)
        taps = self._taps_apart if self.strides[0] == 1 else self._taps_together
        y = taps(x.like(data), kernel)
        if self.bias is not None:
            bias = self.bias[...].astype(y.data.dtype)
            y = y.like(y.data + bias.reshape(1, 1, 1, -1))
        return y

    def _taps_apart(self, x: Frames, kernel: jax.Array) -> Frames:
        taps, groups = len(kernel), self.feature_group_count
        # Outputs are counted by group, tap, channel.
        kernel = kernel.reshape(*kernel.shape[:-1], groups, -1)
        kernel = jnp.moveaxis(kernel, 0, -2)
        y = self._frame_conv(x.data, kernel.reshape(*kernel.shape[:3], -1))
        y = y.reshape(*y.shape[:3], groups, taps, -1)
        moved = (
            other_frame(x.like(y[..., t, :].reshape(*y.shape[:3], -1)), t - taps // 2)
            for t in range(taps)
        )
        return x.like(sum(moved))

    def _taps_together(self, x: Frames, kernel: jax.Array) -> Frames:
        taps, groups, stride = len(kernel), self.feature_group_count, self.strides[0]
        frames = (x.frames - 1) // stride + 1
        height, width, _, channels = x.data.shape
        by_time = x.data.reshape(height, width, x.parts, x.frames, -1, channels)
        around = [(0, 0)] * by_time.ndim
        around[3] = (taps // 2, taps // 2)
        by_time = jnp.pad(by_time, around)
        read = [
            by_time[:, :, :, t : t + (frames - 1) * stride + 1 : stride]
            for t in range(taps)
        ]
        read = [r.reshape(height, width, -1, groups, channels // groups) for r in read]
        # Inputs are counted by group, tap, channel.
        data = jnp.concatenate(read, -1).reshape(height, width, -1, taps * channels)
        kernel = jnp.moveaxis(kernel, 0, 2)
        kernel = kernel.reshape(*kernel.shape[:2], -1, kernel.shape[-1])
        return Frames(self._frame_conv(data, kernel), frames, x.parts)

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
