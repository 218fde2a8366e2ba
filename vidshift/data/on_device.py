"""What is done to a batch on the device, under `jit`: flip, scale, normalise, cast."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Int, UInt8

# Of ImageNet's training pictures, RGB in [0, 1], as every ResNet recipe uses them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(
    video: Array | np.ndarray,
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*B T H W C"]:
    """Makes model input of pixels: `(video / 255 - mean) / std`, computed in float32.

    Args:
      video: uint8 [..., T, H, W, C].
      mean: of each channel, for values in [0, 1].
      std: of each channel, for values in [0, 1].
      dtype: of the result.

    Raises:
      ValueError: `video` is not uint8 (it would be divided by 255 all the same).
    """
    video = jnp.asarray(video)
    if video.dtype != jnp.uint8:
        raise ValueError(f"video must be uint8, got {video.dtype}")
    per_channel = (1,) * (video.ndim - 1) + (-1,)
    mean, std = (
        jnp.asarray(value, jnp.float32).reshape(per_channel) for value in (mean, std)
    )
    return ((video.astype(jnp.float32) / 255 - mean) / std).astype(dtype)


def prepare(
    batch: Mapping[str, Array | np.ndarray],
    *,
    flip_labels: Sequence[int] | None = None,
    **normalisation,
) -> tuple[Float[Array, "*B T H W C"], Int[Array, " B"] | UInt8[Array, "B classes"]]:
    """Flips and normalises a loader's training batch.

    Args:
      batch: `video` uint8 [B, ..., T, H, W, C], `label` int [B] or multi-hot uint8
        [B, classes], and in training `flip` bool [B].
      flip_labels: label of the mirror image of each label; None: nothing is flipped.
      **normalisation: mean, std and dtype, as of `normalise`.

    Returns:
      The clips and the labels after the flip.
    """
    video, labels = jnp.asarray(batch["video"]), jnp.asarray(batch["label"])
    if flip_labels is not None and "flip" in batch:
        flip = jnp.asarray(batch["flip"])
        labels = _mirrored(labels, flip, np.asarray(flip_labels))
        flip = flip.reshape(flip.shape + (1,) * (video.ndim - 1))
        video = jnp.where(flip, video[..., ::-1, :], video)
    return normalise(video, **normalisation), labels


def _mirrored(labels: Array, flip: Array, flip_labels: np.ndarray) -> Array:
    if labels.ndim == 1:
        return jnp.where(flip, jnp.asarray(flip_labels, labels.dtype)[labels], labels)
    mirror = jnp.zeros_like(labels).at[:, flip_labels].max(labels)
    return jnp.where(flip[:, None], mirror, labels)
