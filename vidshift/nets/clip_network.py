"""Networks that mix time themselves: the head over space and time."""

import math

import jax
import jax.numpy as jnp

from vidshift.kernels import Frames
from vidshift.layers.network_input import check_clips
from vidshift.layers.precision import wide
from vidshift.nets.video_network import VideoNetwork
from vidshift.shifts.options import check_whole


class ClipNetwork(VideoNetwork):
    """A network whose head pools over space and time.

    A subclass builds its layers, calls this constructor, and writes `pathways`. There are
    no logits of single frames.

    With `head_size` the head is the official one (SlowFast's repository): average
    pooling with a fixed window, that of clips of `num_frames` frames and `head_size`
    pixels a side, at stride 1, and the classifier at each of its positions. The logits of
    a larger clip are the logarithm of the mean over positions of the softmax, the
    official answer in evaluation; in training, where the official code has none, they
    are the same. A clip of fewer frames is pooled over those that there are, where
    the official code stops: slimmer budgets (A3D) need them.

    Args:
      channels: of the pathways' features, all together.
      head_size: side in pixels of the clips that the window fits, or None for one
        average over all places, whatever the clip's size.
      **network: see `VideoNetwork`.
    """

    def __init__(self, channels: int, *, head_size: int | None = None, **network):
        if head_size is not None:
            check_whole("head_size", head_size, 32)
        # N(0, 0.01), as in the official code.
        super().__init__(channels, spread=0.01, **network)
        self.head_size = head_size

    def shown(self, clips: jax.Array) -> jax.Array:
        """Returns the clips that the pathways see."""
        return self.resolution.lower(clips)

    def pathways(self, clips: jax.Array) -> list[tuple[Frames, int]]:
        """The last features of each pathway, and its frames in `num_frames`."""
        raise NotImplementedError

    def __call__(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits float32 `[B, num_classes]`; `rngs` is dropout's key in training.

        Raises:
          ValueError: clips of another shape, or too small for the head's window.
        """
        features = self.dropout(self._windows(clips), rngs=rngs)
        logits = wide(self.fc(features))  # [B, positions, classes]
        if logits.shape[1] == 1:
            return logits[:, 0]
        summed = jax.nn.logsumexp(jax.nn.log_softmax(logits), 1)
        return summed - math.log(logits.shape[1])

    def _layer(self, clips: jax.Array, layer: str) -> jax.Array:
        """Features of all pathways; a slower one's frames stand for several each.

        "pooled" is the mean over the positions of the head's window.
        """
        if layer == "pooled":
            return self._windows(clips).mean(1)
        maps = [x.clips() for x, _ in self._paths(clips)]
        most = max(x.shape[1] for x in maps)
        maps = [jnp.repeat(x, most // x.shape[1], axis=1) for x in maps]
        if layer == "frames":
            return jnp.concatenate([x.mean((2, 3)) for x in maps], -1)
        if len(sides := {x.shape[2:4] for x in maps}) > 1:
            raise ValueError(
                f"layer='spatial' joins pathways place by place, and these have "
                f"{sorted(sides)} places: take 'frames' or 'pooled'"
            )
        return jnp.concatenate(maps, -1)

    def _paths(self, clips: jax.Array) -> list[tuple[Frames, int]]:
        check_clips(clips, self.in_channels)
        return self.pathways(self.shown(clips).astype(self.dtype))

    def _windows(self, clips: jax.Array) -> jax.Array:
        """Means over each position of the head's window, `[B, positions, C]`."""
        pooled = [self._pool(x.clips(), frames) for x, frames in self._paths(clips)]
        positions = {x.shape[1] for x in pooled}
        if len(positions) > 1:
            raise ValueError(
                f"clips of {clips.shape[1]} frames give the pathways other numbers of "
                f"positions, {sorted(positions)}, with head_size={self.head_size} and "
                f"num_frames={self.num_frames}"
            )
        return jnp.concatenate(pooled, -1)

    def _pool(self, x: jax.Array, frames: int) -> jax.Array:
        """Means of all windows of `[B, T, H, W, C]`, in order: `[B, positions, C]`."""
        space = x.shape[2:4]
        if self.head_size is None:
            return x.mean((1, 2, 3))[:, None]
        side = self.head_size // 32
        if min(space) < side:
            raise ValueError(
                f"head_size={self.head_size} pools {side} x {side} places, but the "
                f"clips leave {space[0]} x {space[1]}; give larger clips, or "
                "head_size=None"
            )
        window = (min(frames, x.shape[1]), side, side)
        if window == x.shape[1:4]:
            return x.mean((1, 2, 3))[:, None]
        # Summed in float32 or wider, as a mean is.
        sums = jax.lax.reduce_window(
            wide(x), 0.0, jax.lax.add, (1, *window, 1), (1,) * 5, "VALID"
        )
        means = (sums / math.prod(window)).astype(x.dtype)
        return means.reshape(x.shape[0], -1, x.shape[-1])
