"""Frame numbers against the official code's, worked by hand."""

import numpy as np
import pytest

from vidshift.data.views import sampling
from vidshift.data.views.sampling import clip_offsets, segment_indices


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


def test_short_videos_keep_their_order_in_training():
    got = segment_indices(5, 8, rng=np.random.default_rng(0))
    assert got.tolist() == [0, 0, 1, 2, 2, 3, 4, 4]


def test_centre_frames_of_the_built_in_dataset_are_symmetric():
    indices = segment_indices(24, 8)
    assert (23 - indices[::-1]).tolist() == indices.tolist()


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


def test_dense_test_windows_are_the_official_ones():
    """TSM's ten windows of a video of 300 frames, worked by hand: starts are
    floor(236 i / 9)."""
    starts = [0, 26, 52, 78, 104, 131, 157, 183, 209, 236]
    assert sampling.dense_starts(300, 10) == starts
    assert sampling.dense_indices(300, 8, 26).tolist() == list(range(26, 83, 8))
    # 16 frames are 4 apart.
    assert sampling.dense_indices(300, 16, 0).tolist() == list(range(0, 64, 4))


def test_a_short_video_begins_again_in_a_dense_window():
    assert sampling.dense_starts(40, 10) == [0] * 10
    assert sampling.dense_indices(40, 8, 0).tolist() == [0, 8, 16, 24, 32, 0, 8, 16]
    assert sampling.dense_starts(64, 2) == [0, 0]
    assert sampling.dense_starts(65, 2) == [0, 1]


def test_one_dense_window_lies_in_the_middle():
    assert sampling.dense_starts(264, 1) == [100]


def test_strided_clips_are_the_official_ones():
    """Slow 8x8: 64 frames, both ends included; SlowFast's Fast pathway 32 of 64."""
    slow = sampling.strided_indices(64, 8, span=64, place=0.0)
    assert slow.tolist() == [0, 9, 18, 27, 36, 45, 54, 63]
    fast = sampling.strided_indices(300, 32, span=64, place=0.0)
    assert fast.tolist()[:4] == [0, 2, 4, 6] and fast.tolist()[-3:] == [58, 60, 63]


def test_strided_test_clips_never_reach_the_last_place():
    of = sampling.ClipRequest(300, 30.0, 8, 8, 30.0)
    clips = sampling.SAMPLINGS["strided"].test(of, 10)
    assert clips.shape == (10, 8)
    # The room is 236 frames, of which clip k begins at k tenths.
    assert clips[:, 0].tolist() == [int(23.6 * k) for k in range(10)]
    assert clips[9].tolist() == [int(212.4 + 9 * i) for i in range(8)]


def test_a_strided_clip_counts_in_seconds():
    at_25 = sampling.clip_span(8, 8, fps=25.0, stride_fps=30.0)
    assert at_25 == pytest.approx(64 * 25 / 30)
    indices = sampling.strided_indices(250, 8, span=at_25, place=0.0)
    assert indices.tolist() == [int(i * (at_25 - 1) / 7) for i in range(8)]
    # Where the video does not say its rate, or nobody asks.
    assert sampling.clip_span(8, 8, fps=0.0, stride_fps=30.0) == 64
    assert sampling.clip_span(8, 8, fps=25.0, stride_fps=None) == 64


def test_a_video_shorter_than_a_strided_clip_repeats_its_last_frame():
    indices = sampling.strided_indices(20, 8, span=64, place=1.0)
    assert indices.tolist() == [0, 9, 18, 19, 19, 19, 19, 19]


@pytest.mark.parametrize("name", sampling.SAMPLINGS)
def test_every_sampling_stays_in_the_video(name):
    rng = np.random.default_rng(0)
    for num_video_frames in (1, 2, 7, 8, 9, 63, 64, 65, 100, 301):
        of = sampling.ClipRequest(num_video_frames, 29.97, 8, 8, 30.0)
        found = [sampling.SAMPLINGS[name].train(of, rng) for _ in range(50)]
        found += list(sampling.SAMPLINGS[name].test(of, 10))
        for indices in found:
            assert indices.shape == (8,) and indices.dtype == np.int64
            assert 0 <= indices.min() and indices.max() < num_video_frames


def test_training_draws_every_place_of_a_dense_window():
    rng = np.random.default_rng(0)
    of = sampling.ClipRequest(70, 30.0, 8, 8, 30.0)
    firsts = {int(sampling.SAMPLINGS["dense"].train(of, rng)[0]) for _ in range(300)}
    assert firsts == set(range(6))  # the official code never draws the seventh


def test_training_draws_strided_clips_from_the_whole_room():
    rng = np.random.default_rng(0)
    of = sampling.ClipRequest(84, 30.0, 8, 8, 30.0)
    firsts = {int(sampling.SAMPLINGS["strided"].train(of, rng)[0]) for _ in range(500)}
    assert firsts == set(range(20))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling.dense_indices(9, 65, 0), "num_frames must be at most 64"),
        (lambda: sampling.dense_indices(9, 8, -1), "start"),
        (lambda: sampling.dense_starts(9, 0), "clips"),
        (lambda: sampling.dense_starts(0, 1), "num_video_frames"),
        (lambda: sampling.strided_indices(9, 8, span=0.5, place=0), "span"),
        (lambda: sampling.strided_indices(9, 8, span=9, place=1.5), "place"),
        (lambda: sampling.strided_indices(9, 0, span=9, place=0), "num_frames"),
    ],
)
def test_errors_of_other_samplings(call, message):
    with pytest.raises(ValueError, match=message):
        call()
