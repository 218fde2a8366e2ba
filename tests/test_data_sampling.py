"""Frame numbers against the official code's, worked by hand."""

import numpy as np
import pytest

from vidshift.data.sampling import clip_offsets, segment_indices


@pytest.mark.parametrize(
    ("num_video_frames", "num_frames", "offset", "expected"),
    [
        # tick = 3: floor(1.5 + 3 i).
        (24, 8, 0.5, [1, 4, 7, 10, 13, 16, 19, 22]),
        # The second clip of twice-sample: floor(3 i).
        (24, 8, 0.0, [0, 3, 6, 9, 12, 15, 18, 21]),
        # tick = 3.75: 1.875, 5.625, 9.375, ...
        (30, 8, 0.5, [1, 5, 9, 13, 16, 20, 24, 28]),
        # tick = 0.625: shorter than the clip, frames repeat in order.
        (5, 8, 0.5, [0, 0, 1, 2, 2, 3, 4, 4]),
        (1, 4, 0.5, [0, 0, 0, 0]),
        (8, 8, 0.5, [0, 1, 2, 3, 4, 5, 6, 7]),
        (280, 8, 0.5, [17, 52, 87, 122, 157, 192, 227, 262]),
    ],
)
def test_tick_rule(num_video_frames, num_frames, offset, expected):
    got = segment_indices(num_video_frames, num_frames, offset=offset)
    assert got.dtype == np.int64
    assert got.tolist() == expected


def test_training_draws_one_frame_of_each_segment():
    # n = 30, T = 8: d = 3, so the last 6 frames are never drawn (as in the official
    # code).
    rng = np.random.default_rng(0)
    drawn = np.stack([segment_indices(30, 8, rng=rng) for _ in range(400)])
    starts = np.arange(8) * 3
    assert ((drawn >= starts) & (drawn < starts + 3)).all()
    assert all(set(column) == {s, s + 1, s + 2} for s, column in zip(starts, drawn.T))
    assert len(np.unique(drawn, axis=0)) > 300


def test_training_segments_of_one_frame():
    # n = 12, T = 8: d = 1, which leaves no choice and takes the first 8 frames.
    got = segment_indices(12, 8, rng=np.random.default_rng(0))
    assert got.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_training_follows_its_random_numbers():
    one, two = (segment_indices(90, 8, rng=np.random.default_rng(3)) for _ in range(2))
    assert one.tolist() == two.tolist()


def test_short_videos_keep_their_order_in_training():
    got = segment_indices(5, 8, rng=np.random.default_rng(0))
    assert got.tolist() == [0, 0, 1, 2, 2, 3, 4, 4]


def test_centre_frames_of_the_built_in_dataset_are_symmetric():
    indices = segment_indices(24, 8)
    assert (23 - indices[::-1]).tolist() == indices.tolist()


def test_indices_never_leave_the_video():
    for n in range(1, 40):
        for offset in (0.0, 0.3, 0.5, 0.999):
            got = segment_indices(n, 8, offset=offset)
            assert 0 <= got.min() and got.max() < n and (np.diff(got) >= 0).all()


def test_clip_offsets():
    assert clip_offsets(1) == [0.5]
    assert clip_offsets(2) == [0.5, 0.0]
    assert clip_offsets(4) == [0.5, 0.75, 0.0, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8), "num_video_frames must be >= 1, got 0"),
        ((8, 0), "num_frames must be >= 1, got 0"),
    ],
)
def test_bad_counts(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment_indices(*arguments)


def test_bad_offset_and_clips():
    with pytest.raises(ValueError, match="offset must be in"):
        segment_indices(8, 8, offset=1.0)
    with pytest.raises(ValueError, match="clips must be >= 1, got 0"):
        clip_offsets(0)
