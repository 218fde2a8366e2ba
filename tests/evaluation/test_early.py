"""Early recognition: what has been seen of a video; all of it is `vidshift eval`."""

import functools
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.support.runs_for_streams import write_run
from vidshift import cli, early
from vidshift.data import eval_batches
from vidshift.data.sources import motion_clips
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.evaluation.early_views import ObservedView, StreamedView
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


def frame_logits(run) -> np.ndarray:
    """Of the test split's clips as evaluation takes them, `[20, T, classes]`."""
    run = Run.open(run)
    with eval_batches(run.split("test"), run.view, batch_size=20, workers=0) as batches:
        (rows,) = batches
    clips = run.normalise(rows["video"][:, 0])
    call = jax.jit(lambda model, clips: model.frame_logits(clips))
    return np.asarray(call(run.network(), clips))


def scored(run):
    options = SimpleNamespace(
        checkpoint="best", data_dir=None, split="test", batch_size=8, map_classes=False
    )
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
    """12 frames, of which the clip is 1, 4, 7 and 10; one, two, three, ... are seen."""
    view = StreamedView(5, 20, 16)
    assert view.test_indices(12, 25.0, 1).tolist() == [[0, 1, 4, 7, 10]]
    # 1, 2, 3, 4, 6, 7, 8, 9, 10 and 12 frames.
    assert view.steps(12, 25.0).tolist() == [0, 1, 1, 1, 2, 2, 3, 3, 3, 4]
    run = make_run("causal", causal=True)
    sees, scores = scored(run)
    assert sees == "streamed" and scores.logits.shape == (20, 10, 12)
    each = frame_logits(run)
    scale = np.abs(each).max()
    for share, frames in ((3, 1), (5, 2), (8, 3), (9, 4)):
        np.testing.assert_allclose(
            scores.logits[:, share], each[:, :frames].mean(1), atol=1e-5 * scale
        )


def test_a_clip_is_of_what_has_been_seen():
    view = ObservedView(4, 20, 16)
    shown = view.test_indices(40, 25.0, 10)
    assert shown.shape == (10, 4)
    assert shown[0].tolist() == [0, 1, 2, 3]
    assert shown[4].tolist() == [2, 7, 12, 17]
    assert shown[9].tolist() == [5, 15, 25, 35]
    assert (shown.max(1) < [4 * n for n in range(1, 11)]).all()
    # Where a clip begins again, nothing is seen before it comes.
    dense = StreamedView(5, 20, 16, sampling="dense")
    assert dense.test_indices(20, 25.0, 1).tolist() == [[0, 0, 16, 12, 8]]
    assert dense.steps(20, 25.0).tolist() == [1] * 8 + [4] * 2


@pytest.mark.slow
def test_the_command(make_run, tmp_path, capsys):
    both = [make_run("causal", causal=True), make_run("tsn", temporal="tsn")]
    given = [f"--run={run}" for run in both]
    code = cli.run(
        ["early", *given, "--batch-size=8", f"--out={tmp_path / 'made' / 'out'}"]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    figures = json.loads(out)
    assert figures == json.loads((tmp_path / "made" / "out.json").read_text())
    assert [row["sees"] for row in figures["rows"]] == ["streamed", "clips"]
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
