"""What networks over frames share: the check of clips, the head, the consensus."""

import jax
import jax.numpy as jnp
from flax import nnx

from kernels import Frames
from vidshift.layers.network_input import check_clips, check_images
from vidshift.layers.resolution import Resolution
from vidshift.shifts.options import check_share


class FrameNetwork(nnx.Module):
    """Clips `[B, T, H, W, in_channels]` to logits `[B, num_classes]`.

    A subclass builds its layers, calls this constructor, and writes `body`. The head
    works frame by frame (global average pool, dropout, linear) and the logits are
    averaged over frames, TSN's consensus.

    Args:
      channels: of what `body` gives.
      dropout: share of pooled features dropped in training.
      dtype: compute type; parameters and logits are float32.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_classes: int,
        num_frames: int,
        in_channels: int,
        dropout: float,
        dtype,
        rngs: nnx.Rngs,
    ):
        check_share("dropout", dropout)
        self.dropout = nnx.Dropout(dropout, deterministic=True)
        # N(0, 0.001) and zero bias: the official initialisation of a new head.
        self.fc = nnx.Linear(
            channels,
            num_classes,
            kernel_init=nnx.initializers.normal(0.001),
            dtype=dtype,
            rngs=rngs,
        )
        self.resolution = Resolution()
        self.in_channels = in_channels
        self.num_frames = num_frames
        self.num_classes = num_classes
        self.dtype = dtype

    def body(self, x: Frames) -> Frames:
        """Everything before the head."""
        raise NotImplementedError

    def features(self, clips: jax.Array) -> jax.Array:
        """`[B, T, H, W, in_channels]` to the last stage's `[B, T, H2, W2, C]`."""
        return self._features(clips).clips()

    def _features(self, clips: jax.Array) -> Frames:
        check_clips(clips, self.in_channels)
        clips = self.resolution.lower(clips)
        return self.body(Frames.of(clips.astype(self.dtype)))

    def frame_logits(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits of every frame, float32 `[B, T, num_classes]`."""
        features = self._features(clips)
        pooled = features.clip_vectors(features.data.mean((0, 1)))
        return self.fc(self.dropout(pooled, rngs=rngs)).astype(jnp.float32)

    def stream_logits(self, images: jax.Array) -> jax.Array:
        """Logits of one frame of each stream, float32 `[B, num_classes]`.

        Args:
          images: `[B, H, W, in_channels]`; the network's layers keep what the next ones
            read (`vidshift.shifts.past`).
        """
        check_images(images, self.in_channels)
        images = self.resolution.lower_images(images, axes=(1, 2))
        images = images.astype(self.dtype).transpose(1, 2, 0, 3)
        features = self.body(Frames(images, frames=1))
        pooled = features.data.mean((0, 1))
        return self.fc(self.dropout(pooled)).astype(jnp.float32)

    def __call__(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits float32 `[B, num_classes]`; `rngs` is dropout's key in training."""
        return self.frame_logits(clips, rngs=rngs).mean(1)
