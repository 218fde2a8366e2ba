"""`eval.py` as a user runs it, and the same from Python."""

import json
import pathlib

import jax
import numpy as np
import pytest

import vidshift
from tests.support.commands import finish, start_program
from tests.support.files import VIDEOS


def run_eval(*arguments, code=0):
    return finish(start_program("eval.py", *arguments), code)


@pytest.fixture(scope="module")
def scored(run_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    stdout, stderr = run_eval(f"--workdir={run_dir}", f"--out={out}")
    return json.loads(stdout), stderr


def test_one_json_line_with_every_figure(scored):
    line, stderr = scored
    assert (line["split"], line["protocol"], line["clips"]) == ("test", "1x1", 30)
    assert 0 <= line["top1"] <= line["top5"] <= 1
    assert len(line["per_class"]) == 12 and "moving left" in stderr


def test_agrees_with_the_test_at_the_end_of_training(scored, run_dir):
    from vidshift.training.log import read_metrics

    (test,) = [x for x in read_metrics(run_dir) if x["kind"] == "test"]
    line, _ = scored
    assert [line[k] for k in ("top1", "top5", "right_pair")] == [
        test[k] for k in ("top1", "top5", "right_pair")
    ]


def test_scores_of_every_clip_give_the_printed_accuracy(scored):
    line, _ = scored
    scores = np.load(line["scores"])
    assert sorted(scores["ids"]) == sorted(
        f"ordered_motion/test/{i}" for i in range(30)
    )
    right = scores["logits"].argmax(1) == scores["labels"]
    assert right.mean() == pytest.approx(line["top1"])
    assert pathlib.Path(line["confusion"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_networks_and_files_of_scores_together(run_dir, scored, tmp_path):
    first, _ = scored
    stdout, _ = run_eval(
        f"--workdir={run_dir}",
        f"--workdir={run_dir}",
        f"--scores={first['scores']}",
        "--weights=1,1.5,2",
        "--average=softmax",
        f"--out={tmp_path}",
    )
    line = json.loads(stdout)
    assert [member["weight"] for member in line["members"]] == [1, 1.5, 2]
    assert {member["top1"] for member in line["members"]} == {first["top1"]}
    assert (line["clips"], line["top1"]) == (30, first["top1"])
    one, all = np.load(first["scores"]), np.load(line["scores"])
    shares = np.exp(one["logits"]) / np.exp(one["logits"]).sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(all["logits"]), shares, rtol=1e-4, atol=1e-6)
    assert pathlib.Path(line["scores"]).name == "test-1x1-ensemble.npz"
    # From files alone.
    stdout, _ = run_eval(f"--scores={first['scores']}", f"--out={tmp_path / 'again'}")
    assert json.loads(stdout)["top1"] == first["top1"]


@pytest.mark.slow
@pytest.mark.parametrize("video", ["arm_wrestling.mp4", "clip_mpeg4.avi"])
def test_a_users_video_is_classified(run_dir, video):
    stdout, _ = run_eval(f"--workdir={run_dir}", f"--video={VIDEOS / video}")
    shares = [float(line.split(" %")[0]) for line in stdout.splitlines()]
    assert len(shares) == 5 and shares == sorted(shares, reverse=True)
    # The same from Python.
    model = vidshift.load(run_dir)
    logits = model(vidshift.read_clip(VIDEOS / video, run_dir))
    assert shares[0] == pytest.approx(
        100 * float(jax.nn.softmax(logits).max()), abs=0.02
    )


@pytest.mark.slow
def test_wrong_arguments_are_one_line(run_dir, tmp_path):
    (tmp_path / "text.mp4").write_bytes(b"this is no video\n" * 100)
    for arguments, expected in [
        ([f"--workdir={run_dir}", f"--video={tmp_path}/text.mp4"], "text.mp4"),
        ([f"--workdir={run_dir}", f"--video={tmp_path}/missing.mp4"], "missing.mp4"),
        ([f"--workdir={tmp_path}"], "is no run or checkpoint"),
        ([f"--workdir={run_dir}", "--protocol=7x7"], "one of: 1x1"),
        ([f"--workdir={run_dir}", "--split=nothing"], "train, validation, test"),
        ([f"--workdir={run_dir}", "--checkpoint=first"], "invalid choice: 'first'"),
        (
            [f"--workdir={run_dir}", "--vdeo=x"],
            "unexpected argument '--vdeo=x' (did you mean '--video'?)",
        ),
        ([f"--workdir={run_dir}", "--weights=1,2"], "--weights must be 1 numbers"),
        ([f"--workdir={run_dir}", "--submission=x"], "jester, got ordered_motion"),
        ([f"--scores={tmp_path}/no.npz"], "no such file of scores"),
        ([f"--workdir={run_dir}", "--protocol=1x10", "--video=x"], "mirror images"),
    ]:
        (line,) = run_eval(*arguments, code=2)[1].splitlines()
        assert expected in line
