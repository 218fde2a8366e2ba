"""The layers and facts that networks of every kind have: the head, dropout, sizes."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import DTypeLike

from vidshift.layers.resolution import Resolution
from vidshift.shifts.options import check_choice, check_share

# Features of a network, by name: the vector that the last layer is given, one vector a
# frame, and the last feature map.
LAYERS = ("pooled", "frames", "spatial")


class VideoNetwork(nnx.Module):
    """Clips `[B, T, H, W, in_channels]` to logits `[B, num_classes]`.

    Args:
      channels: of the features that the head classifies.
      spread: standard deviation of a new head's weights; its bias is zero.
      dropout: share of pooled features dropped in training.
      dtype: compute type; parameters and logits are float32.
    """

    dropout: nnx.Dropout
    fc: nnx.Linear
    resolution: Resolution
    dtype: DTypeLike
    # Whether no frame reads a later one, so that a stream can be seen frame by frame.
    causal: bool

    if TYPE_CHECKING:
        # Every kind of network is called; a `FrameNetwork` has logits of each frame too.
        Keys = nnx.Rngs | nnx.RngStream | jax.Array | None

        def __call__(self, clips: jax.Array, *, rngs: Keys = None) -> jax.Array: ...

        def frame_logits(self, clips: jax.Array, *, rngs: Keys = None) -> jax.Array: ...

    def __init__(
        self,
        channels: int,
        *,
        spread: float,
        num_classes: int,
        num_frames: int,
        in_channels: int = 3,
        dropout: float = 0.0,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_share("dropout", dropout)
        self.dropout = nnx.Dropout(dropout, deterministic=True)
        self.fc = nnx.Linear(
            channels,
            num_classes,
            kernel_init=nnx.initializers.normal(spread),
            dtype=dtype,
            rngs=rngs,
        )
        self.resolution = Resolution()
        self.in_channels = in_channels
        self.num_frames = num_frames
        self.num_classes = num_classes
        self.dtype = dtype

    def features(self, clips: jax.Array, *, layer: str = "pooled") -> jax.Array:
        """Returns what the head classifies, in the compute type.

        Args:
          clips: normalised, `[B, T, H, W, in_channels]`.
          layer: "pooled": the mean over frames and places, `[B, C]`; "frames": the mean
            over places, `[B, T2, C]`; "spatial": the last feature map,
            `[B, T2, H2, W2, C]`. T2 is T but where a network pools time.

        Raises:
          ValueError: clips of another shape; no such layer.
        """
        check_choice("layer", layer, LAYERS)
        return self._layer(clips, layer)

    def _layer(self, clips: jax.Array, layer: str) -> jax.Array:
        raise NotImplementedError
