"""State that a layer keeps of a stream's earlier frames.

Offline a network sees whole clips. In a stream it sees one frame of each of B streams at
a time, features `[H, W, B, C]`, and a layer that mixes time remembers what the frames to
come will read of this one.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames, temporal_shift


class Past(nnx.Variable):
    """An array that a layer keeps from one frame to the next; axis -2 counts streams.

    Zero where a stream begins, as what lies before a clip is zero.
    """


def new_past() -> Past:
    """Returns a past of no shape yet: the first frame gives it one (`exchange`)."""
    return Past(jnp.zeros(()))


def exchange(past: Past, present: jax.Array) -> jax.Array:
    """Keeps an array for the next frame, and gives what was kept of the one before."""
    before = past[...]
    past.set_value(present)
    return jnp.zeros_like(present) if before.ndim == 0 else before


class FrameBefore(nnx.Module):
    """All channels of the frame before, zero where a clip or a stream begins."""

    def __init__(self):
        self.past = nnx.data(None)

    def start_stream(self) -> None:
        self.past = new_past()

    def __call__(self, x: Frames) -> Frames:
        if self.past is None:
            return temporal_shift(x, fold=x.data.shape[-1], direction="past")
        return x.like(exchange(self.past, x.data))


def start_streams(model: nnx.Module) -> None:
    """Makes a network see one frame at a time.

    Layers that mix time have a method `start_stream`, which makes their `Past`.
    """
    for _, module in list(nnx.iter_modules(model)):
        if hasattr(module, "start_stream"):
            module.start_stream()
