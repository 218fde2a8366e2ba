"""View of a video that a model is shown: which frames, and how they are cut."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8, UInt32

from vidshift.data.media import stacks, video
from vidshift.data.media.video import VideoError
from vidshift.data.records.record import Record
from vidshift.data.views import eval_views
from vidshift.data.views.crop import (
    crop_resize,
    multi_scale_box,
    random_area_box,
    random_box,
    random_short_side,
)
from vidshift.data.views.eval_views import Canvas
from vidshift.data.views.sampling import SAMPLINGS, ClipRequest


@dataclasses.dataclass(slots=True)
class View:
    # Frames of a clip, T.
    num_frames: int
    # Short side of the frame before the crop, pixels.
    resize: int
    # Side of the square crop, S, pixels.
    crop: int
    # In training, sides of TSM's multi-scale crop (`crop.MULTI_SCALES`), as shares of
    # the short side; none: one square of `crop` anywhere in the resized frame.
    scales: tuple[float, ...] = ()
    # In training, smallest and largest share of the frame that a crop of any place and
    # shape covers (`crop.random_area_box`); none: as above.
    area: tuple[float, float] | tuple[()] = ()
    # In training, smallest and largest short side before the crop, pixels
    # (`crop.random_short_side`); none: `resize`.
    short_sides: tuple[int, int] | tuple[()] = ()
    inverse_short_sides: bool = False
    # Which frames: a name in sampling.SAMPLINGS, and the options of "strided".
    sampling: str = "segments"
    frame_stride: int = 8
    stride_fps: float | None = 30.0
    # Treatment of pixels that are not square: one of pixel_aspect.PIXEL_ASPECTS.
    pixel_aspect: str = "ignore"

    def train_indices(
        self, num_video_frames: int, fps: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Returns the frame numbers of a training clip, int64 `[T]`."""
        return SAMPLINGS[self.sampling].train(self._request(num_video_frames, fps), rng)

    def test_indices(self, num_video_frames: int, fps: float, clips: int) -> np.ndarray:
        """Returns the frame numbers of a test video's clips, int64 `[clips, T]`."""
        return SAMPLINGS[self.sampling].test(
            self._request(num_video_frames, fps), clips
        )

    def _request(self, num_video_frames: int, fps: float) -> ClipRequest:
        return ClipRequest(
            num_video_frames, fps, self.num_frames, self.frame_stride, self.stride_fps
        )


def train_clip(
    record: Record,
    view: View,
    rng: np.random.Generator,
    *,
    may_flip: bool,
    decode: Callable = video.decode,
) -> tuple[
    UInt8[np.ndarray, "T S S C"],
    bool,
    UInt32[np.ndarray, "2"],
    int | tuple[int, ...],
]:
    """Draws frames, crop and flip, and decodes only what they need.

    Returns:
      The clip, not flipped; whether it is to be flipped (half of them are, if they
      may); a fingerprint of the record's id, the frames, the crop and the flip; and the
      record's label, of which only those are left that hold while the clip lasts
      (Charades, as SlowFast's official code trains).

    Raises:
      VideoError: the video cannot be decoded.
    """
    indices = view.train_indices(record["num_frames"], record.get("fps", 0.0), rng)
    decode = with_aspect(decode, view)
    frames = decode(record["video"], indices, name=record["id"])
    height, width = frames.shape[1:3]
    if view.area:
        box = random_area_box(height, width, rng=rng, area=view.area)
    elif view.scales:
        box = multi_scale_box(height, width, rng=rng, scales=view.scales)
    else:
        resize = view.resize
        if view.short_sides:
            low, high = view.short_sides
            resize = random_short_side(
                low, high, inverse=view.inverse_short_sides, rng=rng
            )
        box = random_box(height, width, resize=resize, crop=view.crop, rng=rng)
    flip = may_flip and bool(rng.random() < 0.5)
    clip = crop_resize(frames, box, view.crop)
    label = labels_during(record, indices)
    return clip, flip, fingerprint(record["id"], indices, box, flip), label


def with_aspect(decode: Callable, view: View) -> Callable:
    """Returns a `Split.decode` with the view's treatment of pixels that are not square."""
    if view.pixel_aspect == "ignore":
        return decode
    return functools.partial(decode, pixel_aspect=view.pixel_aspect)


def labels_during(record: Record, indices: np.ndarray) -> int | tuple[int, ...]:
    """Returns the labels that hold at any time from the first to the last frame."""
    if "spans" not in record or not record["fps"]:
        return record["label"]
    first, last = int(min(indices)) / record["fps"], int(max(indices)) / record["fps"]
    return tuple(
        label
        for label, (start, end) in zip(record["label"], record["spans"], strict=True)
        if start <= last and first <= end
    )


def fingerprint(
    record_id: str, indices: np.ndarray, box: tuple[float, ...], flip: bool
) -> UInt32[np.ndarray, "2"]:
    """Returns 64 bits of the BLAKE2b hash of what a clip shows."""
    text = repr((record_id, indices.tolist(), [float(side) for side in box], flip))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.frombuffer(digest, "<u4").astype(np.uint32)


def eval_clips(
    source: Any,
    num_video_frames: int,
    fps: float,
    view: View,
    *,
    clips: int = 1,
    crops: int | str = 1,
    name: str | None = None,
    decode: Callable = video.decode,
) -> Canvas:
    """Decodes the clips of a test video, each frame once, for `eval_views.cut`.

    Returns:
      Frames `[clips, T, h, w, C]`.

    Raises:
      ValueError: clips or crops not supported.
      VideoError: the video cannot be decoded.
    """
    eval_views.num_views(clips, crops)
    chosen = view.test_indices(num_video_frames, fps, clips)
    needed, places = np.unique(chosen, return_inverse=True)
    frames = with_aspect(decode, view)(source, needed, name=name)
    canvas = eval_views.lay(frames, resize=view.resize, crop=view.crop, crops=crops)
    return canvas._replace(frames=canvas.frames[places.reshape(chosen.shape)])


def clip_from_video(
    source: video.Source,
    view: View,
    *,
    clips: int = 1,
    crops: int | str = 1,
    more: int = 0,
) -> UInt8[np.ndarray, "V T S s C"]:
    """Decodes the test views of a video file.

    Args:
      source: path, or bytes of the file.
      crops: of each clip, a key of `eval_views.PLACES`.
      more: frames after each one that lie in its channels.

    Returns:
      Clip by clip and crop by crop, as `eval_views.cut` numbers them.

    Raises:
      ValueError: clips or crops not supported.
      VideoError: the video cannot be decoded, or has no more than `more` frames.
    """
    info = video.probe(source)
    num_video_frames = info.num_frames - more
    if num_video_frames < 1:
        raise VideoError(f"too short: {info.num_frames} of {more + 1} frames")
    decode = functools.partial(stacks.decode, stack=more + 1) if more else video.decode
    frames, places, swapped = eval_clips(
        source,
        num_video_frames,
        info.fps,
        view,
        clips=clips,
        crops=crops,
        decode=decode,
    )
    views = [
        eval_views.cut(
            jnp.asarray(frames[None]),
            jnp.asarray(places[None]),
            jnp.asarray(swapped[None]),
            number,
            crop=view.crop,
            crops=crops,
        )[0]
        for number in range(eval_views.num_views(clips, crops))
    ]
    return np.stack(views)
