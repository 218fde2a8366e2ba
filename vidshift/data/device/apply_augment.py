"""Applies the operations that `Augment.draw` drew to a batch's clips, on the device.

GSF's official code augments whole frames and crops them afterwards, and of each frame it
draws whether it moves bilinearly or bicubically; here clips are cropped already, and move
bilinearly.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vidshift.data.device import affine
from vidshift.data.device.augment import NONE
from vidshift.data.device.operations import OPERATIONS
from vidshift.data.device.rgb_clip import Number, RgbClip
from vidshift.kernels.sharding import over_batch


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


def operate(x: RgbClip, op: Int[Array, ""], arg: Number) -> RgbClip:
    """Applies the operation of a place in OPERATIONS.

    Those that change places share one branch of the program, with a matrix each.
    """
    changes = [it.change for it in OPERATIONS.values() if it.change]
    matrices = [it.matrix for it in OPERATIONS.values() if it.matrix]
    branches = [
        changes.index(it.change) if it.change else len(changes)
        for it in OPERATIONS.values()
    ]
    rows = [matrices.index(it.matrix) if it.matrix else 0 for it in OPERATIONS.values()]

    def move(x, arg):
        made = jnp.stack([matrix(*x.shape[1:3], arg) for matrix in matrices])
        return affine.resample(x, made[jnp.array(rows)[op]])

    return jax.lax.switch(jnp.array(branches)[op], [*changes, move], x, arg)
