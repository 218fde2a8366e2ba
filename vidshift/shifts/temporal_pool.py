"""Pooling over time: from the second stage on a network has half as many frames."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.shifts.site import FrameMixer, Scheme, Site


class TemporalPool(FrameMixer):
    """The largest value of three frames around every second one.

    `y[t] = max(x[2 t - 1], x[2 t], x[2 t + 1])`; beyond a clip's ends is -inf. T frames
    become T / 2, rounded up. (The official code cannot run with an odd number.)
    """

    title = "pooling over time"

    def __call__(self, x: Frames) -> Frames:
        x.check()
        height, width, rows, channels = x.data.shape
        clips = rows // (x.parts * x.frames)
        y = jax.lax.reduce_window(
            x.data.reshape(height * width, x.parts, x.frames, clips, channels),
            -jnp.inf,
            jax.lax.max,
            window_dimensions=(1, 1, 3, 1, 1),
            window_strides=(1, 1, 2, 1, 1),
            padding=((0, 0), (0, 0), (1, 1), (0, 0), (0, 0)),
        )
        data = y.reshape(height, width, -1, channels)
        return dataclasses.replace(x, data=data, frames=y.shape[2])


class TemporalPooling(Scheme):
    """Pools before the first block of stage 1 (ResNet's `layer2`), shortcut included.

    It is the option of that name of the official TSM code. The pooling goes before what
    the other scheme puts there, which works on half as many frames, as the head does.
    """

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        if site.whole_block and (site.stage, site.block) == (1, 0):
            self.put(module, "before", TemporalPool())
        return module
