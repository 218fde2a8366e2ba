"""Work on a batch on the device, under `jit`: flip, augment, normalise, cast."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, Int, UInt8

from vidshift.data.device import apply_augment
from vidshift.tasks import SINGLE_LABEL, Task

# Of ImageNet's training pictures, RGB in [0, 1], as every ResNet recipe uses them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# In which a network takes a pixel's channels. Networks whose weights come from Caffe take
# "bgr"; `vidshift.convert` turns their first convolution round, so that they take "rgb" as
# all others do.
CHANNEL_ORDERS = ("rgb", "bgr")


def normalise(
    video: Array | np.ndarray,
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    dtype: DTypeLike = jnp.float32,
    modality: str = "rgb",
    channel_order: str = "rgb",
) -> Float[Array, "*B T H W c"]:
    """Makes model input of pixels: `(video / 255 - mean) / std`, computed in float32.

    Args:
      video: uint8 [..., T, H, W, C].
      mean: of each channel, for values in [0, 1]; repeated where there are several times
        as many channels.
      std: the same.
      dtype: of the result.
      modality: "rgb_diff" takes the differences of the RGB frames that lie one after
        another in the channels, three channels fewer.
      channel_order: of each frame's channels in the result, a name in CHANNEL_ORDERS;
        mean and std are in this order too.

    Raises:
      ValueError: `video` is not uint8 (it would be divided by 255 all the same), the
        channels are no multiple of the means, or there is no such order or nothing to
        put into it.
    """
    video = jnp.asarray(video)
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(
            f"channel_order must be one of {CHANNEL_ORDERS}, got {channel_order!r}"
        )
    if channel_order == "bgr" and (modality == "flow" or video.shape[-1] % 3):
        raise ValueError(
            "channel_order='bgr' is for frames of three colours, got "
            f"modality={modality!r} with {video.shape[-1]} channels"
        )
    if video.dtype != jnp.uint8:
        raise ValueError(f"video must be uint8, got {video.dtype}")
    video = video.astype(jnp.float32) / 255
    if modality == "rgb_diff":
        video = video[..., 3:] - video[..., :-3]
    if channel_order == "bgr":
        frames = video.reshape(*video.shape[:-1], -1, 3)
        video = frames[..., ::-1].reshape(video.shape)
    channels = video.shape[-1]
    if channels % len(mean) or channels % len(std):
        raise ValueError(
            f"mean and std must have a number for each of {channels} channels, or of a "
            f"frame's among them, got {len(mean)} and {len(std)}"
        )
    mean, std = (
        jnp.tile(jnp.asarray(value, jnp.float32), channels // len(value)).reshape(
            (1,) * (video.ndim - 1) + (-1,)
        )
        for value in (mean, std)
    )
    return ((video - mean) / std).astype(dtype)


def prepare(
    batch: Mapping[str, Array | np.ndarray],
    *,
    flip_labels: Sequence[int] | None = None,
    modality: str = "rgb",
    task: Task = SINGLE_LABEL,
    **normalisation,
) -> tuple[
    Float[Array, "*B T H W C"],
    Int[Array, " B"] | UInt8[Array, "B classes"] | Int[Array, "B tasks"],
]:
    """Flips, augments and normalises a loader's training batch.

    Args:
      batch: `video` uint8 [B, ..., T, H, W, C], `label` int [B], multi-hot uint8
        [B, classes] or int [B, tasks], and in training `flip` bool [B] and what
        `Augment.draw` drew.
      flip_labels: label of the mirror image of each label; None: nothing is flipped.
      modality: of "flow", channels x, y, x, y, ..., what moves to the right moves to the
        left in the mirror image.
      task: the kind of the labels, which says what becomes of them in a mirror image.
      **normalisation: mean, std, dtype and channel_order, as of `normalise`.

    Returns:
      The clips and the labels after the flip.

    Raises:
      ValueError: as of `normalise`, or an augmentation was drawn for other frames than
        RGB.
    """
    video, labels = jnp.asarray(batch["video"]), jnp.asarray(batch["label"])
    if flip_labels is not None and "flip" in batch:
        flip = jnp.asarray(batch["flip"])
        labels = task.mirrored(labels, flip, np.asarray(flip_labels))
        flip = flip.reshape(flip.shape + (1,) * (video.ndim - 1))
        video = jnp.where(flip, mirror(video, modality), video)
    if "augment_op" in batch:
        if modality != "rgb":
            raise ValueError(f"only RGB can be augmented, got modality={modality!r}")
        video = apply_augment.apply(video, batch)
    return normalise(video, modality=modality, **normalisation), labels


def mirror(video: UInt8[Array, "*B H W C"], modality: str) -> UInt8[Array, "*B H W C"]:
    """The mirror image; in that of flow what moves to the right moves to the left."""
    mirrored = video[..., ::-1, :]
    if modality != "flow":
        return mirrored
    along_x = jnp.arange(video.shape[-1]) % 2 == 0
    return jnp.where(along_x, 255 - mirrored, mirrored)
