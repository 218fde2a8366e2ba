"""What a model is shown of a video: which frames, cut how."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8, UInt32

from vidshift.data import stacks, video
from vidshift.data.crop import (
    crop_resize,
    eval_boxes,
    multi_scale_box,
    random_area_box,
    random_box,
)
from vidshift.data.sampling import clip_offsets, segment_indices
from vidshift.data.split import Record
from vidshift.data.video import VideoError


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
    indices = segment_indices(record["num_frames"], view.num_frames, rng=rng)
    frames = decode(record["video"], indices, name=record["id"])
    height, width = frames.shape[1:3]
    if view.area:
        box = random_area_box(height, width, rng=rng, area=view.area)
    elif view.scales:
        box = multi_scale_box(height, width, rng=rng, scales=view.scales)
    else:
        box = random_box(height, width, resize=view.resize, crop=view.crop, rng=rng)
    flip = may_flip and bool(rng.random() < 0.5)
    clip = crop_resize(frames, box, view.crop)
    label = labels_during(record, indices)
    return clip, flip, fingerprint(record["id"], indices, box, flip), label


def labels_during(record: Record, indices: np.ndarray) -> int | tuple[int, ...]:
    """The record's labels that hold at any time from its first to its last frame."""
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
    source: video.Source,
    num_video_frames: int,
    view: View,
    *,
    clips: int = 1,
    crops: int = 1,
    name: str | None = None,
    decode: Callable = video.decode,
) -> UInt8[np.ndarray, "V T S S C"]:
    """Decodes the test views of a video, each frame once.

    Returns:
      Clip by clip (`sampling.clip_offsets`) and crop by crop (`crop.eval_boxes`),
      V = clips * crops.

    Raises:
      ValueError: clips or crops not supported.
      VideoError: the video cannot be decoded.
    """
    chosen = [
        segment_indices(num_video_frames, view.num_frames, offset=offset)
        for offset in clip_offsets(clips)
    ]
    needed, places = np.unique(np.concatenate(chosen), return_inverse=True)
    frames = decode(source, needed, name=name)
    boxes = eval_boxes(
        *frames.shape[1:3], resize=view.resize, crop=view.crop, crops=crops
    )
    cut = np.stack([crop_resize(frames, box, view.crop) for box in boxes])
    # [crops, frames, ...] -> [crops, clips, T, ...] -> [clips, crops, T, ...].
    views = cut[:, places.reshape(clips, view.num_frames)].swapaxes(0, 1)
    return np.ascontiguousarray(views).reshape(-1, *views.shape[2:])


def clip_from_video(
    source: video.Source, view: View, *, clips: int = 1, crops: int = 1, more: int = 0
) -> UInt8[np.ndarray, "V T S S C"]:
    """Decodes the test views of a video file, as `eval_clips`.

    Args:
      source: path, or bytes of the file.
      view: what the model is shown.
      clips: clips of the video.
      crops: 1 or 3 crops of each clip.
      more: frames after each one that lie in its channels.

    Raises:
      ValueError: clips or crops not supported.
      VideoError: the video cannot be decoded, or has no more than `more` frames.
    """
    num_video_frames = video.probe(source).num_frames - more
    if num_video_frames < 1:
        raise VideoError(f"too short: {num_video_frames + more} of {more + 1} frames")
    decode = functools.partial(stacks.decode, stack=more + 1) if more else video.decode
    return eval_clips(
        source, num_video_frames, view, clips=clips, crops=crops, decode=decode
    )
