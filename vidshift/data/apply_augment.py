"""Does to a batch's clips, on the device, what `Augment.draw` drew for each."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from kernels.sharding import over_batch
from vidshift.data import affine, pixel_ops
from vidshift.data.augment import NONE, OPERATIONS

FUNCTIONS = {
    "AutoContrast": pixel_ops.auto_contrast,
    "Equalize": pixel_ops.equalize,
    "Invert": pixel_ops.invert,
    "Rotate": affine.rotate,
    "Posterize": pixel_ops.posterize,
    "Solarize": pixel_ops.solarize,
    "SolarizeAdd": pixel_ops.solarize_add,
    "Color": pixel_ops.color,
    "Contrast": pixel_ops.contrast,
    "Brightness": pixel_ops.brightness,
    "Sharpness": pixel_ops.sharpness,
    "ShearX": affine.shear_x,
    "ShearY": affine.shear_y,
    "TranslateXRel": affine.translate_x,
    "TranslateYRel": affine.translate_y,
    "Hue": pixel_ops.hue,
}


def apply(
    video: Array | np.ndarray,
    draws: Mapping[str, Array | np.ndarray],
) -> UInt8[Array, "B T H W 3"]:
    """Augments each clip of a batch by its own draw.

    A loop over clips and their turns, in place, computes only what was drawn; a vectorised
    choice would compute all operations for every clip. On a mesh each device loops over
    its own clips.

    Args:
      video: RGB.
      draws: `augment_op` int32 [B, turns] and `augment_arg` float32 [B, turns], of
        `Augment.draw`; other keys are left alone.

    Raises:
      ValueError: `video` is not uint8 of that shape.
    """
    if video.ndim != 5 or video.shape[-1] != 3 or video.dtype != jnp.uint8:
        raise ValueError(
            "only RGB clips can be augmented: video must be uint8 [B, T, H, W, 3], got "
            f"{video.dtype} {list(video.shape)}"
        )
    arrays = (video, draws["augment_op"], draws["augment_arg"])
    return over_batch(_loop, batched=(True,) * 3)(*map(jnp.asarray, arrays))


def _loop(video: Array, ops: Array, args: Array) -> Array:
    clips, turns = ops.shape
    functions = [FUNCTIONS[name] for name in OPERATIONS]

    def step(i, video):
        clip, turn = i // turns, i % turns
        op, arg = ops[clip, turn], args[clip, turn]

        def changed():
            return video.at[clip].set(jax.lax.switch(op, functions, video[clip], arg))

        return jax.lax.cond(op == NONE, lambda: video, changed)

    return jax.lax.fori_loop(0, clips * turns, step, video)
