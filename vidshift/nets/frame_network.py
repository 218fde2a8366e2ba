"""Networks over frames: the check of clips, the head, the consensus."""

import jax
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.network_input import check_clips, check_images
from vidshift.layers.precision import wide
from vidshift.nets.video_network import VideoNetwork


class FrameNetwork(VideoNetwork):
    """A network whose head works frame by frame.

    A subclass builds its layers, calls this constructor with the channels that `body`
    gives, and writes `body`. The head is global average pooling, dropout and a linear
    layer, and the logits are averaged over frames, TSN's consensus. A scheme may put a
    `clip_head` in the place of the last two.

    Args:
      channels: of `body`'s features.
      **network: see `VideoNetwork`.
    """

    def __init__(self, channels: int, **network):
        # N(0, 0.001): the official initialisation of a new head.
        super().__init__(channels, spread=0.001, **network)
        # (features of frames [B, T, C], rngs) -> logits [B, num_classes]
        self.clip_head = nnx.data(None)

    def body(self, x: Frames) -> Frames:
        """Everything before the head."""
        raise NotImplementedError

    def _layer(self, clips: jax.Array, layer: str) -> jax.Array:
        if layer == "spatial":
            return self._map(clips).clips()
        vectors = self._pooled(clips)
        return vectors if layer == "frames" else vectors.mean(1)

    def _map(self, clips: jax.Array) -> Frames:
        check_clips(clips, self.in_channels)
        clips = self.resolution.lower(clips)
        return self.body(Frames.of(clips.astype(self.dtype)))

    def frame_logits(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits of every frame, float32 `[B, T, num_classes]`.

        Raises:
          ValueError: the network answers for whole clips alone.
        """
        if self.clip_head is not None:
            raise ValueError(
                "frame_logits: the network's head answers for whole clips, and gives no "
                "logits of single frames"
            )
        pooled = self.dropout(self._pooled(clips), rngs=rngs)
        return wide(self.fc(pooled))

    def _pooled(self, clips: jax.Array) -> jax.Array:
        features = self._map(clips)
        return features.clip_vectors(features.data.mean((0, 1)))

    def stream_logits(self, images: jax.Array) -> jax.Array:
        """Logits of one frame of each stream, float32 `[B, num_classes]`.

        Args:
          images: see `stream_features`.
        """
        return wide(self.fc(self.dropout(self.stream_features(images))))

    def stream_features(self, images: jax.Array) -> jax.Array:
        """Features of one frame of each stream, pooled over places: `[B, C]`.

        Args:
          images: `[B, H, W, in_channels]`; the network's layers keep what the next ones
            read (`vidshift.shifts.past`).
        """
        check_images(images, self.in_channels)
        images = self.resolution.lower_images(images, axes=(1, 2))
        images = images.astype(self.dtype).transpose(1, 2, 0, 3)
        return self.body(Frames(images, frames=1)).data.mean((0, 1))

    def __call__(self, clips: jax.Array, *, rngs=None) -> jax.Array:
        """Logits float32 `[B, num_classes]`; `rngs` is dropout's key in training."""
        if self.clip_head is None:
            return self.frame_logits(clips, rngs=rngs).mean(1)
        pooled = self.dropout(self._pooled(clips), rngs=rngs)
        return self.clip_head(pooled, rngs=rngs)
