"""Does to a batch's clips, on the device, what `Augment.draw` drew for each.

GSF's official code augments whole frames and crops them afterwards, and of each frame it
draws whether it moves bilinearly or bicubically; here clips are cropped already, and move
bilinearly.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from kernels.sharding import over_batch
from vidshift.data.device import pixel_ops
from vidshift.data.device.affine import MATRICES, resample
from vidshift.data.device.augment import NONE

# Of pixels' values; those of their places are in `affine.MATRICES`.
VALUES = {
    "Hue": pixel_ops.hue,
    "AutoContrast": pixel_ops.auto_contrast,
    "Equalize": pixel_ops.equalize,
    "Invert": pixel_ops.invert,
    "Posterize": pixel_ops.posterize,
    "Solarize": pixel_ops.solarize,
    "SolarizeAdd": pixel_ops.solarize_add,
    "Color": pixel_ops.color,
    "Contrast": pixel_ops.contrast,
    "Brightness": pixel_ops.brightness,
    "Sharpness": pixel_ops.sharpness,
}


def apply(
    video: Array | np.ndarray,
    draws: Mapping[str, Array | np.ndarray],
) -> UInt8[Array, "B T H W 3"]:
    """Augments each clip of a batch by its own draw.

    A loop over clips and their turns, in place, computes only what was drawn, one
    program for all draws; a vectorised choice would compute all operations for every
    clip. On a mesh each device loops over its own clips.

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


def _loop(
    video: UInt8[Array, "B T H W 3"],
    ops: Int[Array, "B turns"],
    args: Float[Array, "B turns"],
) -> UInt8[Array, "B T H W 3"]:
    clips, turns = ops.shape

    def step(i, video):
        clip, turn = i // turns, i % turns
        op, arg = ops[clip, turn], args[clip, turn]
        # The other way round, XLA's CPU compiler copies all clips in every turn.
        return jax.lax.cond(
            op != NONE,
            lambda: video.at[clip].set(operate(video[clip], op, arg)),
            lambda: video,
        )

    return jax.lax.fori_loop(0, clips * turns, step, video)


def operate(
    x: UInt8[Array, "T H W 3"], op: Int[Array, ""], arg: Float[Array, ""]
) -> UInt8[Array, "T H W 3"]:
    """Does the operation of a place in OPERATIONS, whose last are those of MATRICES."""

    def move(x, arg):
        height, width = x.shape[1:3]
        matrices = [matrix(height, width, arg) for matrix in MATRICES.values()]
        return resample(x, jnp.stack(matrices)[op - len(VALUES)])

    functions = [*VALUES.values(), move]
    return jax.lax.switch(jnp.minimum(op, len(VALUES)), functions, x, arg)
