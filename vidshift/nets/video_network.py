"""The layers and facts that networks of every kind have: the head, dropout, sizes."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import DTypeLike

from vidshift.layers.resolution import Resolution
from vidshift.shifts.options import check_share


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
