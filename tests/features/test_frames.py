"""Frames of a video as networks take them."""

import dataclasses

import numpy as np
import pytest

from tests.support.numbered_videos import encoded, number, picture
from vidshift.data.media import flow, stacks, video
from vidshift.data.media.player import Player
from vidshift.data.media.video import VideoError
from vidshift.data.records.storage import fitted
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View, eval_clips
from vidshift.description import Input
from vidshift.features.frames import Cutter, network_frames, record_frames, shown

INPUT = Input(4, 48, 48, mean=(0.5,) * 3, std=(0.5,) * 3)
FRAMES = 12


@pytest.fixture(scope="module")
def data() -> bytes:
    return encoded("libx264", "mp4", FRAMES, fps=10)


def numbers(source, **options) -> list[int]:
    """Numbers of the frames that are read, each as often as it comes."""
    return [
        number(one.rgb) for one in shown(source, **options) for _ in range(one.repeats)
    ]


@pytest.mark.parametrize(
    ("fps", "wanted"),
    [
        (None, list(range(12))),
        (10.0, list(range(12))),
        (5.0, [0, 2, 4, 6, 8, 10]),
        (20.0, [0, *(n for n in range(1, 12) for _ in range(2))]),
        # Nearest to 0, 0.25, 0.5, 0.75, 1 s; halfway, the later one.
        (4.0, [0, 3, 5, 8, 10]),
    ],
)
def test_the_nearest_frame_of_each_moment_is_read(data, fps, wanted):
    assert numbers(data, fps=fps) == wanted


def test_a_rate_is_needed_where_frames_are_left_out(data, monkeypatch):
    def without_rate(*args, **options):
        for frame, _ in real(*args, **options):
            yield frame, 0.0

    real = video.frames
    monkeypatch.setattr(video, "frames", without_rate)
    assert len(numbers(data)) == FRAMES
    with pytest.raises(VideoError, match="mine: does not say its frame rate"):
        next(shown(data, fps=5.0, name="mine"))


@pytest.mark.parametrize("modality", ["rgb", "rgb_diff"])
def test_frames_are_those_of_evaluation(data, modality):
    shape = dataclasses.replace(
        INPUT,
        resize=40,
        crop=32,
        modality=modality,
        stack=2 if modality != "rgb" else 1,
    )
    cutter = Cutter(shape)
    found = list(network_frames(shown(data), [cutter], lambda n: True))
    more = shape.following
    assert len(found) == FRAMES - more and cutter.span == more + 1
    indices = np.arange(FRAMES - more)
    decoded = stacks.decode(data, indices, stack=more + 1)
    view = dataclasses.replace(shape.view(), num_frames=len(indices))
    wanted = eval_clips(
        data, len(indices), 10.0, view, decode=lambda *_, **__: decoded
    ).frames[0]
    assert np.array_equal(np.stack([cut for (cut,) in found]), wanted)
    assert len(np.unique(wanted)) > 10


def test_each_needed_frame_is_shown_once_and_no_other(data, monkeypatch):
    counted = []
    show = Player.show
    monkeypatch.setattr(
        Player,
        "show",
        lambda self, frame, *a: counted.append(1) or show(self, frame, *a),
    )
    frames = network_frames(shown(data), [Cutter(INPUT)], lambda n: n % 3 == 0)
    found = [cut is not None for cut in frames]
    assert found == [n % 3 == 0 for n in range(FRAMES)]
    assert len(counted) == 4


def test_flow_is_computed_as_preparation_does_each_pair_once(data, monkeypatch):
    pairs = []

    def pictures(frames):
        before, after = frames
        pairs.append((number(before), number(after)))
        x = np.full(before.shape, 100 + number(before), np.uint8)
        yield np.concatenate([x, 200 - x])

    monkeypatch.setattr(flow, "check_installed", lambda: None)
    monkeypatch.setattr(flow, "pictures", pictures)
    shape = dataclasses.replace(
        INPUT, mean=(0.5,), std=(0.5,), modality="flow", stack=2
    )
    both = [Cutter(INPUT), Cutter(shape)]
    found = list(network_frames(shown(data), both, lambda n: True))
    # Frame n has the flow from n to n + 1 and from n + 1 to n + 2: x, y, x, y.
    assert len(found) == FRAMES - 2
    for n, (rgb, moved) in enumerate(found):
        assert number(rgb) == n
        assert moved.shape == (48, 48, 4)
        assert moved[0, 0].tolist() == [100 + n, 100 - n, 101 + n, 99 - n]
    assert pairs == [(n, n + 1) for n in range(FRAMES - 1)]


def test_flow_is_of_frames_as_they_are_stored(monkeypatch):
    """Preparation scales frames to a short side of 256 before it computes flow."""
    sizes = []

    def pictures(frames):
        sizes.extend(frame.shape for frame in frames)
        yield np.zeros((2 * frames[0].shape[0], *frames[0].shape[1:]), np.uint8)

    monkeypatch.setattr(flow, "check_installed", lambda: None)
    monkeypatch.setattr(flow, "pictures", pictures)
    large = encoded("libx264", "mp4", [picture(n, 300, 402) for n in range(2)])
    cutter = Cutter(dataclasses.replace(INPUT, modality="flow"))
    assert len(list(network_frames(shown(large), [cutter], lambda n: True))) == 1
    assert sizes == [(256, 344, 3)] * 2 == [(*fitted(300, 402), 3)] * 2


def test_records_are_read_like_files(data, monkeypatch):
    monkeypatch.setattr("vidshift.features.frames.CHUNK", 5)

    split = Split(source=[], classes=("one",))

    record = {"video": data, "id": "mine", "num_frames": FRAMES, "fps": 10.0}
    view = View(4, 48, 48)
    needs = lambda n: n != 2
    for fps in (None, 4.0):
        found = list(record_frames(record, split, view, needs, fps=fps))
        wanted = list(network_frames(shown(data, fps=fps), [Cutter(INPUT)], needs))
        assert len(found) == len(wanted) and found[2] is wanted[2] is None
        for one, other in zip(found, wanted, strict=True):
            assert one is other is None or np.array_equal(one[0], other[0])
