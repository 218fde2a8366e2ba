"""Early recognition: which frames have been seen of a video, and the answers to them."""

import dataclasses
import functools
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.support.runs_for_streams import write_run
from vidshift import cli, early
from vidshift.data import eval_batches
from vidshift.data.media.video import VideoError
from vidshift.data.sources import motion_clips
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View
from vidshift.evaluation.early_views import SHARES, ObservedView, Streaming, observed
from vidshift.evaluation.frame_streams import CHUNK, FrameStreams
from vidshift.run import Run

OPTIONS = OrderedMotion(
    side=16, frames=12, train_clips=2, validation_clips=2, test_clips=20
)


@pytest.fixture(scope="module")
def make_run(tmp_path_factory):
    """Makes a run on a small `ordered_motion`, by what its network is."""
    folder = tmp_path_factory.mktemp("early")

    @functools.cache
    def make(name, **model):
        data = {
            "name": "ordered_motion",
            "options": OPTIONS,
            "dir": str(folder / "data"),
            "workers": 0,
        }
        return write_run(
            folder / name, data=data, classes=motion_clips.CLASSES, **model
        )

    (folder / "data").mkdir()
    return make


def frame_logits(run, num_frames=4) -> np.ndarray:
    """Of the test split's clips, of which 12 frames are all, `[20, T, classes]`."""
    run = Run.open(run)
    view = dataclasses.replace(run.view, num_frames=num_frames)
    with eval_batches(run.split("test"), view, batch_size=20, workers=0) as batches:
        (rows,) = batches
    clips = run.normalise(rows["video"][:, 0])
    call = jax.jit(lambda model, clips: model.frame_logits(clips))
    return np.asarray(call(run.network(), clips))


def scored(run, **more):
    options = {"data_dir": None, "map_classes": False, "batch_size": 8}
    options |= {"checkpoint": "best", "split": "test", "every": 1, "max_frames": 2000}
    options = SimpleNamespace(**options | more)
    described, _, scores = early.score(run, options)
    return described["sees"], scores


@pytest.mark.slow
def test_the_whole_video_is_evaluation(make_run):
    run = make_run("tsn", temporal="tsn")
    sees, scores = scored(run)
    assert sees == "clips" and scores.logits.shape == (20, 10, 12)
    wanted = frame_logits(run).mean(1)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(scores.logits[:, -1], wanted, atol=1e-5 * scale)
    assert np.abs(scores.logits[:, 4] - wanted).max() > 1e-2 * scale


def test_a_stream_answers_with_the_frames_that_have_come(make_run):
    """The mean over the first frames of what the clip of all 12 frames gives."""
    run = make_run("causal", causal=True)
    sees, scores = scored(run)
    assert sees == "streamed" and scores.logits.shape == (20, 10, 12)
    each = frame_logits(run, 12)
    scale = np.abs(each).max()
    for share, frames in enumerate((1, 2, 3, 4, 6, 7, 8, 9, 10, 12)):
        wanted = each[:, :frames].mean(1)
        np.testing.assert_allclose(
            scores.logits[:, share], wanted, atol=1e-5 * scale, err_msg=f"{frames}"
        )
    np.testing.assert_array_equal(scores.rows, np.arange(20))


LENGTHS = (25, 1, 2 * CHUNK + 6, 3, 40, 9)


def shown(source, indices, *, name):
    """Frames whose pixels say the video and the frame; video 4's second chunk is lost."""
    assert name == f"video {source}"
    if source == 4 and min(indices) >= CHUNK:
        raise VideoError("damaged")
    frames = np.empty((len(indices), 4, 6, 3), np.uint8)
    frames[..., 0], frames[..., 1] = source, np.reshape(indices, (-1, 1, 1))
    return frames


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize(
    ("streaming", "strides"),
    [
        (Streaming(), (1,) * 6),
        (Streaming(every=3), (3,) * 6),
        (Streaming(every=2, most_frames=20), (2, 2, 4, 2, 2, 2)),
    ],
)
def test_a_share_of_a_video_is_its_first_frames(streaming, strides, threads):
    records = [
        {"video": row, "label": row % 2, "id": f"video {row}", "num_frames": length}
        for row, length in enumerate(LENGTHS)
    ]
    split = Split(source=records, classes=("a", "b"), decode=shown)
    streams = FrameStreams(split, View(4, 4, 4), streaming, streams=2, threads=threads)
    seen, due = [[], []], {}
    for tick in streams:
        for stream, (picture, reset) in enumerate(zip(tick.frames, tick.reset)):
            seen[stream] = [] if reset else seen[stream]
            seen[stream].append(tuple(picture[0, 0, :2].tolist()))
        for stream, row, share in tick.due:
            due[row, share] = list(seen[stream])
    for row, (length, stride) in enumerate(zip(LENGTHS, strides, strict=True)):
        for share, part in enumerate(SHARES):
            first = range(0, observed(length, part), stride)
            if row != 4 or len(first) <= CHUNK:
                assert due.pop((row, share)) == [(row, frame) for frame in first]
    assert not due
    damaged = -(-LENGTHS[4] // strides[4]) > CHUNK
    assert streams.failures == [("video 4", "damaged")] * damaged
    assert streams.failed == ({4} if damaged else set())
    assert streams.thinned == (strides[2] == 4)
    assert [int(streams.labels[row]) for row in range(6)] == [0, 1] * 3


def test_a_clip_is_of_what_has_been_seen():
    view = ObservedView(4, 20, 16)
    shown = view.test_indices(40, 25.0, 10)
    assert shown.shape == (10, 4)
    assert shown[0].tolist() == [0, 1, 2, 3]
    assert shown[4].tolist() == [2, 7, 12, 17]
    assert shown[9].tolist() == [5, 15, 25, 35]
    assert (shown.max(1) < [4 * n for n in range(1, 11)]).all()


@pytest.mark.slow
def test_the_command(make_run, tmp_path, capsys):
    both = [make_run("causal", causal=True), make_run("tsn", temporal="tsn")]
    given = [f"--run={run}" for run in both]
    code = cli.run(
        ["early", *given, "--batch-size=8", "--every=2", "--max-frames=3"]
        + [f"--out={tmp_path / 'made' / 'out'}"]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    figures = json.loads(out)
    assert figures == json.loads((tmp_path / "made" / "out.json").read_text())
    assert [row["sees"] for row in figures["rows"]] == ["streamed", "clips"]
    shown = [figures["rows"][0][name] for name in ("every", "max_frames", "thinned")]
    assert shown == [2, 3, 20]
    assert "20 videos have more than --max-frames=3 frames to show" in err
    assert [len(row["accuracy"]) for row in figures["rows"]] == [10, 10]
    assert "| causal TSM resnet_tiny | " in err
    png = (tmp_path / "made" / "out.png").read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) < 60_000
    for wrong, message in (
        (["--split=nothing"], "train, validation, test"),
        (["--data-dir=nowhere"], "give --data-dir"),
        (["--batch-size=7"], "batch-size"),
    ):
        assert cli.run(["early", given[0], *wrong]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("vidshift early: error: ") and message in line
