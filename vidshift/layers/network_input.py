"""The check of what a network is called with."""

import jax.numpy as jnp


def check_clips(clips, channels: int) -> None:
    """Refuses anything but normalised clips `[B, T, H, W, channels]`.

    Raises:
      ValueError: another shape, or integers: pixels of 0 to 255 that nobody normalised.
    """
    if clips.ndim != 5 or clips.shape[-1] != channels or 0 in clips.shape:
        raise ValueError(f"clips must be [B, T, H, W, {channels}], got {clips.shape}")
    _check_normalised("clips", clips)


def check_images(images, channels: int) -> None:
    """Refuses anything but normalised frames `[B, H, W, channels]`, as `check_clips`."""
    if images.ndim != 4 or images.shape[-1] != channels or 0 in images.shape:
        raise ValueError(f"frames must be [B, H, W, {channels}], got {images.shape}")
    _check_normalised("frames", images)


def _check_normalised(name: str, array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(
            f"{name} must be normalised floats, got {array.dtype}: give pixels of 0 to "
            f"255 as ({name} / 255 - mean) / std, with the mean and std of the network's "
            "training (vidshift.data.device.on_device.normalise)"
        )
