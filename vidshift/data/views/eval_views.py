"""The test views of a video: decoded once, laid on a canvas, cut out on the device.

The crops of a clip share most of their pixels. What leaves the host is the part of the
resized frame that any of them covers, with the place of each; `cut` makes a view of it
under `jit`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, UInt8

from vidshift.data.device.on_device import mirror
from vidshift.data.views.crop import crop_resize, scaled_box, short_side_place

# The whole frame, for fully-convolutional evaluation.
WHOLE = "whole"
# Places (x, y) of the crops between the left and right, top and bottom edge, by their
# number. Three lie along the longer side (TSM's `--test_crops=3`, SlowFast's); ten are
# five and their mirror images (`--test_crops=10`).
PLACES: dict[int | str, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    3: ((0.0, 0.5), (0.5, 0.5), (1.0, 0.5)),
    10: ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)),
    WHOLE: (),
}
# Long sides of most videos over their short sides, which canvases are made for.
LONG_SIDES = (4 / 3, 16 / 9)
# The sides of a whole frame are multiples of what networks divide them by, pixels.
STRIDE = 32


class Canvas(NamedTuple):
    # [N, h, w, C]; with several crops the longer side of the frame lies along w.
    frames: UInt8[np.ndarray, "N h w C"]
    # (top, left) of each place on the canvas.
    places: Int32[np.ndarray, "P 2"]
    # True if height and width were swapped.
    swapped: np.bool_


def num_views(clips: int, crops: int | str) -> int:
    """Returns the number of views of a video that are scored.

    Raises:
      ValueError: clips below 1, or there is no such number of crops.
    """
    if clips < 1:
        raise ValueError(f"clips must be >= 1, got {clips}")
    if crops not in PLACES:
        raise ValueError(f"crops must be one of {tuple(PLACES)}, got {crops!r}")
    return clips * (1 if crops == WHOLE else crops)


def lay(
    frames: UInt8[np.ndarray, "N H W C"], *, resize: int, crop: int, crops: int | str
) -> Canvas:
    """Cuts out and resizes the part of some frames that the crops cover.

    Args:
      frames: of all clips, one after another.
      resize, crop: short side of the resized frame and side of a crop, pixels.
      crops: a key of PLACES. Of the whole frame both sides are cut, about the middle, to
        multiples of 32 pixels.

    Returns:
      A canvas no wider than the last of the widths of `size`, where three crops of a frame
      so long that they do not meet lie side by side.

    Raises:
      ValueError: sizes as in `short_side_place`.
    """
    swapped = len(PLACES[crops]) > 1 and frames.shape[1] > frames.shape[2]
    if swapped:
        frames = frames.swapaxes(1, 2)
    height, width = frames.shape[1:3]
    scale = min(height, width) / resize
    if crops == WHOLE:
        unit = min(STRIDE, resize)
        tall, wide = (
            int(side / scale + 1e-6) // unit * unit for side in (height, width)
        )
        left, top = int((width / scale - wide) / 2), int((height / scale - tall) / 2)
        box = scaled_box(left, top, wide, tall, scale)
        picture = crop_resize(frames, box, (tall, wide))
        return Canvas(picture, np.zeros((1, 2), np.int32), np.False_)
    corners = [
        short_side_place(height, width, resize=resize, crop=crop, x=x, y=y)
        for x, y in PLACES[crops]
    ]
    columns = sorted({left for left, _ in corners})
    tops = [top for _, top in corners]
    tall = max(tops) + crop - min(tops)
    if columns[-1] + crop - columns[0] <= len(columns) * crop:
        strips = {columns[0]: columns[-1] + crop - columns[0]}
        at = {column: column - columns[0] for column in columns}
    else:
        strips = dict.fromkeys(columns, crop)
        at = {column: place * crop for place, column in enumerate(columns)}
    pictures = [
        crop_resize(
            frames, scaled_box(left, min(tops), wide, tall, scale), (tall, wide)
        )
        for left, wide in strips.items()
    ]
    places = [(top - min(tops), at[left]) for left, top in corners]
    return Canvas(
        np.ascontiguousarray(np.concatenate(pictures, axis=2)),
        np.asarray(places, np.int32),
        np.bool_(swapped),
    )


def size(*, resize: int, crop: int, crops: int | str) -> tuple[int, tuple[int, ...]]:
    """Returns the height of canvases, and their widths in order.

    There are few widths, so that few programs are compiled. Whole frames have any sizes;
    those of a square are given.
    """
    if crops == WHOLE:
        return resize, (resize,)
    tall = resize if len({y for _, y in PLACES[crops]}) > 1 else crop
    if crops == 1:
        return tall, (crop,)
    most = len({x for x, _ in PLACES[crops]}) * crop
    usual = [-(-round(side * resize) // 8) * 8 for side in LONG_SIDES]
    return tall, (*(width for width in usual if width < most), most)


def widen(
    canvases: Sequence[np.ndarray], to: Sequence[int]
) -> UInt8[np.ndarray, "B K T h W C"]:
    """Stacks canvases `[K, T, h, w, C]` on the narrowest width that holds all."""
    most = max(canvas.shape[-2] for canvas in canvases)
    width = next(width for width in to if width >= most)
    *before, _, channels = canvases[0].shape
    result = np.zeros((len(canvases), *before, width, channels), np.uint8)
    for canvas, row in zip(canvases, result, strict=True):
        row[..., : canvas.shape[-2], :] = canvas
    return result


def cut(
    canvases: UInt8[Array, "B K T h w C"],
    places: Int32[Array, "B P 2"],
    swapped: Bool[Array, " B"],
    view: int | Int32[Array, ""],
    *,
    crop: int,
    crops: int | str,
    modality: str = "rgb",
) -> UInt8[Array, "B T S s C"]:
    """Cuts a view out of each canvas, under `jit`.

    Args:
      canvases: of the K clips of B videos.
      places: of the crops, (top, left).
      swapped: true where a canvas has the frame's height and width swapped.
      view: in [0, K * crops): clip by clip, and of each crop by crop; of ten crops the
        last five are the mirror images of the first.
      crop: side of a crop, pixels.
      crops: a key of PLACES.
      modality: of "flow" a mirror image moves the other way.

    Returns:
      The crops, or of "whole" the canvases as they are.
    """
    if crops == WHOLE:
        return jax.lax.dynamic_index_in_dim(canvases, view, axis=1, keepdims=False)
    clip, number = view // crops, view % crops
    frames = jax.lax.dynamic_index_in_dim(canvases, clip, axis=1, keepdims=False)
    if crops == 1:
        return frames
    at = jax.lax.dynamic_index_in_dim(
        places, number % len(PLACES[crops]), axis=1, keepdims=False
    )
    size = (frames.shape[1], crop, crop, frames.shape[-1])

    def one(frames, at, swapped):
        square = jax.lax.dynamic_slice(frames, (0, at[0], at[1], 0), size)
        return jnp.where(swapped, square.swapaxes(1, 2), square)

    squares = jax.vmap(one)(frames, at, swapped)
    if crops == len(PLACES[crops]):
        return squares
    return jnp.where(number < len(PLACES[crops]), squares, mirror(squares, modality))
