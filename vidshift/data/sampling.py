"""Which frames of a video a clip takes.

Frame numbers count from 0; the official code's count from 1, the frames are the same.
"""

import numpy as np


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
      num_video_frames: frames of the video, n >= 1.
      num_frames: frames to take, T >= 1.
      rng: draws the place in each segment; None takes the place `offset`.
      offset: place in the segment, in [0, 1).

    Returns:
      int64 [num_frames], not decreasing, in [0, num_video_frames).

    Raises:
      ValueError: a count below 1 or an offset outside [0, 1).
    """
    if num_video_frames < 1:
        raise ValueError(f"num_video_frames must be >= 1, got {num_video_frames}")
    if num_frames < 1:
        raise ValueError(f"num_frames must be >= 1, got {num_frames}")
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

    Raises:
      ValueError: clips below 1.
    """
    if clips < 1:
        raise ValueError(f"clips must be >= 1, got {clips}")
    return [(0.5 + clip / clips) % 1 for clip in range(clips)]
