"""Windows that slide over a video."""

import tracemalloc

import numpy as np
import pytest

from vidshift.data.views.view import View
from vidshift.features.windows import Windows, clips, usual_window


def numbered(frames: int, windows: Windows) -> list:
    """Frames of two networks that are their number, where they are needed."""
    return [
        (np.full((1, 1, 3), n, np.uint8), np.full((1, 1, 2), n, np.uint8))
        if windows.needs(n)
        else None
        for n in range(frames)
    ]


def windows(size, stride, *offsets) -> Windows:
    return Windows(size, stride, tuple(np.asarray(o, np.int64) for o in offsets))


@pytest.mark.parametrize(
    ("frames", "size", "stride"),
    [(9, 4, 1), (9, 4, 2), (8, 4, 4), (15, 4, 6), (4, 4, 1), (5, 4, 4), (17, 3, 8)],
)
def test_each_window_has_its_frames(frames, size, stride):
    offsets = np.arange(size), np.asarray([0, size // 2, size - 1])
    sliding = windows(size, stride, *offsets)
    found = list(clips(numbered(frames, sliding), sliding))
    starts = range(0, frames - size + 1, stride)
    assert len(found) == len(starts)
    for start, shown in zip(starts, found, strict=True):
        for clip, places in zip(shown, offsets, strict=True):
            assert clip[:, 0, 0, 0].tolist() == (start + places).tolist()


def test_a_frame_that_no_window_shows_is_not_needed():
    sliding = windows(4, 8, [0, 2])
    needed = [n for n in range(24) if sliding.needs(n)]
    assert needed == [0, 1, 2, 3, 8, 10, 16, 18]


def test_a_short_video_has_one_window_whose_last_frame_repeats():
    sliding = windows(6, 2, range(6), [1, 5])
    (shown,) = clips(numbered(3, sliding), sliding)
    assert [clip[:, 0, 0, 0].tolist() for clip in shown] == [
        [0, 1, 2, 2, 2, 2],
        [1, 2],
    ]
    assert list(clips([], sliding)) == []


def test_centres_are_those_of_actionformer():
    """(i * feat_stride + num_frames / 2) / fps: libs/datasets/thumos14.py, solved for it."""
    sliding = windows(16, 4, range(16))
    assert sliding.centre(0, 32.0) == 0.25
    assert sliding.centre(10, 32.0) == (10 * 4 + 8) / 32


def test_a_window_is_what_the_networks_clip_spans():
    view = View(8, 20, 16)
    assert usual_window(view) == 8
    strided = View(8, 20, 16, sampling="strided", frame_stride=8)
    assert usual_window(strided) == 64
    assert usual_window(View(8, 20, 16, sampling="dense")) == 64
    # 30 a second are those of the stride.
    found = Windows.of([strided], size=64, stride=64, fps=None)
    assert found.offsets[0].tolist() == [0, 9, 18, 27, 36, 45, 54, 63]
    half = Windows.of([strided], size=64, stride=64, fps=15.0)
    assert half.offsets[0].tolist() == [16, 20, 24, 29, 33, 38, 42, 47]


def test_memory_does_not_grow_with_the_video():
    sliding = windows(8, 2, range(8))
    side = 64
    frame = lambda n: (np.full((side, side, 3), n % 256, np.uint8),)
    tracemalloc.start()
    for _ in clips(map(frame, range(2000)), sliding):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The window's frames, its clip, and the clip before.
    assert peak < 4 * sliding.size * side * side * 3
