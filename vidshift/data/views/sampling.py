"""Frames of a video that a clip takes: in training, and in each clip of a test.

A clip takes T frames of the n of a video (`num_frames`, `num_video_frames`, both >= 1).
Frame numbers count from 0; TSM's and GSF's code counts from 1, the frames are the same.
Every function takes a video of any length: one that is shorter than a clip gives some
frames several times.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Neighbouring frames that a dense clip spans (TSM's `--dense_sample`, after I3D).
DENSE_WINDOW = 64


def segment_indices(
    num_video_frames: int,
    num_frames: int,
    *,
    rng: np.random.Generator | None = None,
    offset: float = 0.5,
) -> np.ndarray:
    """Takes one frame from each of `num_frames` equal segments (TSN, section 3.2).

    In training (`rng`), with n video frames, T frames and d = n // T >= 1, frame i is
    `i * d + uniform{0..d-1}`. Otherwise it is `floor(tick * offset + tick * i)` with
    tick = n / T: `offset` 0.5 is TSM's test clip, 0.0 the second clip of its
    `--twice_sample`.

    A video shorter than T follows the tick rule in training too, as GSF's code does:
    its frames stay in order and some repeat. TSM's code takes the first frame T times
    instead, which throws away all the motion of the shortest videos.

    Args:
      rng: draws the place in each segment; None takes the place `offset`.
      offset: place in the segment, in [0, 1).

    Returns:
      int64 [num_frames], not decreasing, in [0, num_video_frames).

    Raises:
      ValueError: a count below 1 or an offset outside [0, 1).
    """
    _check_counts(num_video_frames, num_frames)
    if not 0 <= offset < 1:
        raise ValueError(f"offset must be in [0, 1), got {offset}")
    segments = np.arange(num_frames)
    length = num_video_frames // num_frames
    if rng is not None and length >= 1:
        return segments * length + rng.integers(length, size=num_frames)
    tick = num_video_frames / num_frames
    indices = np.floor(tick * offset + tick * segments).astype(np.int64)
    return np.clip(indices, 0, num_video_frames - 1)


def clip_offsets(clips: int) -> list[float]:
    """Returns the offsets of the clips of a test video, `(1/2 + k / clips) mod 1`.

    One clip is TSM's test clip, two are its `--twice_sample`.
    """
    if clips < 1:
        raise ValueError(f"clips must be >= 1, got {clips}")
    return [(0.5 + clip / clips) % 1 for clip in range(clips)]


def dense_indices(num_video_frames: int, num_frames: int, start: int) -> np.ndarray:
    """Takes frames evenly out of `DENSE_WINDOW` neighbours, as TSM's `--dense_sample`.

    Frame i is `(start + i * (64 // T)) mod n`: a video shorter than the window begins
    again at its first frame.

    Args:
      num_frames: at most 64.
      start: first frame of the window, >= 0; see `dense_starts`.

    Returns:
      int64 [num_frames], in [0, num_video_frames).
    """
    _check_counts(num_video_frames, num_frames)
    if num_frames > DENSE_WINDOW:
        raise ValueError(
            f"num_frames must be at most {DENSE_WINDOW} where sampling is dense, got "
            f"{num_frames}"
        )
    if start < 0:
        raise ValueError(f"start must be >= 0, got {start}")
    stride = DENSE_WINDOW // num_frames
    return (start + stride * np.arange(num_frames)) % num_video_frames


def dense_starts(num_video_frames: int, clips: int) -> list[int]:
    """Returns the first frames of a test's windows, spread evenly and rounded down.

    A single window lies in the middle. Ten are those of TSM's test, whose validation
    draws one at random.
    """
    _check_counts(num_video_frames, 1)
    if clips < 1:
        raise ValueError(f"clips must be >= 1, got {clips}")
    last = max(0, num_video_frames - DENSE_WINDOW)
    if clips == 1:
        return [last // 2]
    return np.linspace(0, last, clips, dtype=int).tolist()


def strided_indices(
    num_video_frames: int,
    num_frames: int,
    *,
    span: float,
    place: float,
) -> np.ndarray:
    """Takes frames evenly out of a clip of `span` frames, both its ends included.

    SlowFast's official code: the clip begins at `place` of the room that is left,
    `start = place * max(0, n - span)`, and frame i is
    `floor(start + i * (span - 1) / (T - 1))`, within the video: of a video shorter than
    the clip the last frame repeats. 8 frames of 64 are 0, 9, 18, ..., 63.

    Args:
      span: frames of the clip, not always a whole number, >= 1: `clip_span`.
      place: in [0, 1].

    Returns:
      int64 [num_frames], not decreasing, in [0, num_video_frames).
    """
    _check_counts(num_video_frames, num_frames)
    if not (span >= 1 and np.isfinite(span)):
        raise ValueError(f"span must be a number >= 1, got {span}")
    if not 0 <= place <= 1:
        raise ValueError(f"place must be in [0, 1], got {place}")
    start = place * max(0.0, num_video_frames - span)
    indices = np.linspace(start, start + span - 1, num_frames)
    return np.clip(indices, 0, num_video_frames - 1).astype(np.int64)


def clip_span(
    num_frames: int, frame_stride: int, *, fps: float, stride_fps: float | None
) -> float:
    """Returns how many frames of a video a strided clip spans: `T * stride * fps / 30`.

    Args:
      frame_stride: frames between one and the next, at `stride_fps` frames a second.
      fps: of the video; 0 where it is not known counts as `stride_fps`.
      stride_fps: 30 in SlowFast's official code; None is each video's own rate.
    """
    rate = fps / stride_fps if fps and stride_fps else 1.0
    return max(1.0, num_frames * frame_stride * rate)


class ClipRequest(NamedTuple):
    """Frames asked of a video, and the facts of the video that decide which."""

    # Of the video.
    num_video_frames: int
    fps: float
    # Of a clip.
    num_frames: int
    frame_stride: int
    stride_fps: float | None

    @property
    def span(self) -> float:
        return clip_span(
            self.num_frames,
            self.frame_stride,
            fps=self.fps,
            stride_fps=self.stride_fps,
        )


class FrameSampling(NamedTuple):
    # (request, random numbers) -> int64 [T]
    train: Callable[[ClipRequest, np.random.Generator], np.ndarray]
    # (request, number of clips) -> int64 [clips, T]
    test: Callable[[ClipRequest, int], np.ndarray]


def _train_segments(request: ClipRequest, rng: np.random.Generator) -> np.ndarray:
    return segment_indices(request.num_video_frames, request.num_frames, rng=rng)


def _test_segments(request: ClipRequest, clips: int) -> np.ndarray:
    return np.stack(
        [
            segment_indices(request.num_video_frames, request.num_frames, offset=offset)
            for offset in clip_offsets(clips)
        ]
    )


def _train_dense(request: ClipRequest, rng: np.random.Generator) -> np.ndarray:
    # The last of the n - 63 places is never drawn, as in the official code.
    places = max(1, request.num_video_frames - DENSE_WINDOW)
    return dense_indices(
        request.num_video_frames, request.num_frames, start=int(rng.integers(places))
    )


def _test_dense(request: ClipRequest, clips: int) -> np.ndarray:
    return np.stack(
        [
            dense_indices(request.num_video_frames, request.num_frames, start)
            for start in dense_starts(request.num_video_frames, clips)
        ]
    )


def _train_strided(request: ClipRequest, rng: np.random.Generator) -> np.ndarray:
    return strided_indices(
        request.num_video_frames,
        request.num_frames,
        span=request.span,
        place=rng.random(),
    )


def _test_strided(request: ClipRequest, clips: int) -> np.ndarray:
    """Clip k of K begins at k / K of the room, as in the official code; a single one
    lies in the middle, where that code validates on one drawn at random."""
    if clips < 1:
        raise ValueError(f"clips must be >= 1, got {clips}")
    places = [0.5] if clips == 1 else np.arange(clips) / clips
    return np.stack(
        [
            strided_indices(
                request.num_video_frames,
                request.num_frames,
                span=request.span,
                place=float(place),
            )
            for place in places
        ]
    )


SAMPLINGS: dict[str, FrameSampling] = {
    "segments": FrameSampling(_train_segments, _test_segments),
    "dense": FrameSampling(_train_dense, _test_dense),
    "strided": FrameSampling(_train_strided, _test_strided),
}


def _check_counts(num_video_frames: int, num_frames: int) -> None:
    if num_video_frames < 1:
        raise ValueError(f"num_video_frames must be >= 1, got {num_video_frames}")
    if num_frames < 1:
        raise ValueError(f"num_frames must be >= 1, got {num_frames}")
