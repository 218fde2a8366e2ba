"""The moving picture of a clip and the same clip backwards: pixels, scores, size."""

import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.support.runs_for_streams import CLASSES, softmax, write_run, write_video
from vidshift import cli, load, read_clip
from vidshift.report import draw_backwards
from vidshift.run import Run

FRAMES = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / name, temporal=name) for name in ("tsn", "tsm")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "clip.mp4")


def draw(capsys, runs, *options, code=0):
    """-> the figures and the frames of the picture, or the line of an error."""
    flags = [f"--run={run}" for run in runs]
    assert cli.run(["pictures", *flags, *map(str, options)]) == code
    out, err = capsys.readouterr()
    if code:
        (line,) = err.splitlines()
        return line
    path = json.loads(out)["backwards"]
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        frames = [np.array(f.convert("RGB")) for f in ImageSequence.Iterator(picture)]
    return json.loads(open(path.replace(".gif", ".json")).read()), frames


def test_the_second_half_is_the_clip_backwards(tmp_path, capsys, runs, clip):
    options = (f"--video={clip}", f"--out={tmp_path / 'new' / 'x.gif'}", "--top=3")
    figures, frames = draw(capsys, runs, *options)
    half = FRAMES + draw_backwards.GROWTH_STEPS - 1
    assert len(frames) == 2 * half
    left = (draw_backwards.WIDTH - draw_backwards.CLIP_SIDE) // 2
    shown = [frame[34:226, left:-left] for frame in frames]
    for number in range(FRAMES):
        np.testing.assert_array_equal(shown[number], shown[half + FRAMES - 1 - number])
    assert len({frame.tobytes() for frame in shown}) == FRAMES
    pixels = read_clip(clip, runs[0])
    assert figures["frames"] == [1, 4, 7, 10] and len(figures["shown"]) == 3
    for run, network in zip(runs, figures["networks"], strict=True):
        assert network["label"] == run.name.upper()
        model = load(run)
        for way, step in (("forwards", 1), ("backwards", -1)):
            expected = softmax(np.asarray(model(pixels[:, ::step]))[0])
            scores = dict(zip(figures["classes"], network[way], strict=True))
            assert scores == pytest.approx(expected, abs=1e-5)
    tsn, tsm = (
        np.subtract(network["forwards"], network["backwards"])
        for network in figures["networks"]
    )
    assert np.abs(tsn).max() < 1e-5 and np.abs(tsm).max() > 1e-2


def made_up(frames: np.ndarray) -> dict:
    """Figures of one network that answers 100 % forwards and 0 % backwards."""
    network = {"label": "TSM", "forwards": [1.0], "backwards": [0.0]}
    return {
        "frames": list(range(len(frames))),
        "milliseconds": 200,
        "classes": ["走る a class whose name is longer than there is room"],
        "shown": [0],
        "networks": [network],
    }


def test_bars_are_as_long_as_the_scores(tmp_path):
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    draw_backwards.draw(tmp_path / "x.gif", made_up(frames), frames)
    lengths = []
    with Image.open(tmp_path / "x.gif") as picture:
        for frame in ImageSequence.Iterator(picture):
            bar = np.array(frame.convert("RGB"))[-30:].astype(int)
            lengths.append((np.abs(bar - [0x56, 0xB4, 0xE9]).max(-1) < 12)[2].sum())
    steps = draw_backwards.GROWTH_STEPS
    assert lengths[0] > 200 and lengths[steps] == 0
    assert lengths == [*sorted(lengths[:steps])[::-1], *sorted(lengths[steps:])]


def test_a_picture_that_would_be_large_has_fewer_colours(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (8, 192, 192, 3), np.uint8)
    draw_backwards.draw(tmp_path / "x.gif", made_up(frames), frames)
    size = (tmp_path / "x.gif").stat().st_size
    assert size <= draw_backwards.LARGEST_BYTES


def test_a_long_clip_is_drawn_by_some_of_its_frames(tmp_path, capsys, clip):
    run = write_run(tmp_path / "run", data={"num_frames": 24, "sampling": "segments"})
    out = f"--out={tmp_path / 'x.gif'}"
    figures, _ = draw(capsys, [run], f"--video={clip}", out)
    assert len(figures["frames"]) == draw_backwards.MOST_FRAMES
    (network,) = figures["networks"]
    assert len(network["frames"]) == 24 and network["label"] == "resnet_tiny/tsm"
    assert figures["frames"][-1] == network["frames"][-1]


def test_frames_of_several_pictures_are_played_backwards_too():
    video = np.arange(6 * 3, dtype=np.uint8).reshape(6, 1, 1, 3)

    def frames(video, first):  # each with its next one in its channels
        return np.stack([np.concatenate(video[i : i + 2], -1) for i in first])[None]

    clip, expected = frames(video, [0, 2, 3]), frames(video[::-1], [1, 2, 4])
    np.testing.assert_array_equal(draw_backwards.backwards(clip), expected)


def test_what_tells_networks_apart(tmp_path, runs):
    tsn, tsm = map(Run.open, runs)
    other = Run.open(write_run(tmp_path / "again", temporal="tsm"))
    assert draw_backwards.labels([tsn, tsm]) == ["TSN", "TSM"]
    assert draw_backwards.labels([tsm]) == ["resnet_tiny/tsm"]
    assert draw_backwards.labels([tsm, other]) == ["tsm", "again"]


def test_what_cannot_be_drawn(tmp_path, capsys, runs, clip):
    video, out = f"--video={clip}", f"--out={tmp_path / 'x.gif'}"
    line = draw(capsys, runs, code=2)
    assert line == "vidshift pictures: error: several --run are for --video; give one"
    line = draw(capsys, runs, video, f"--out={tmp_path / 'x.png'}", code=2)
    assert line.endswith("x.png must end in .gif with --video")
    line = draw(capsys, runs, f"--video={tmp_path / 'gone.mp4'}", out, code=2)
    assert line.endswith("gone.mp4: no such file")
    line = draw(capsys, [*runs, *runs, *runs], video, out, code=2)
    assert line.endswith("at most 4 --run fit, got 6")
    other = write_run(tmp_path / "other", classes=(*CLASSES[:3], "away"))
    line = draw(capsys, [runs[0], other], video, out, code=2)
    assert "have other classes" in line and "has 'away', which" in line
    assert not (tmp_path / "x.gif").exists()
