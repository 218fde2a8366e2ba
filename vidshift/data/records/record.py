"""Record of a clip, as a source returns it."""

from typing import Any, TypedDict


class Record(TypedDict, total=False):
    # A video's or an image's file: its bytes, or the path to read them from; or another
    # object that the split's `decode` takes.
    video: Any
    # A class number; of a multi-label split a tuple of them, which may be empty; of a
    # multi-task split one for each task.
    label: int | tuple[int, ...]
    # Of a multi-label split, may be left out: when each label holds, in seconds.
    spans: tuple[tuple[float, float], ...]
    id: str
    # Of the video, so that frames can be chosen before it is opened.
    num_frames: int
    fps: float
