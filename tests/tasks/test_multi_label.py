"""A run on clips of several labels, from `train.py` to `eval.py`, as a user has it."""

import json

import numpy as np
import pytest

from tests.support.commands import arguments, finish, start_program
from tests.support.files import VIDEOS
from tests.support.several_labels import ORDERS, PAIRS
from vidshift import checkpoints
from vidshift.run import Run
from vidshift.tasks import MULTI_LABEL, metrics
from vidshift.training.log import read_metrics

VIDEO = VIDEOS / "arm_wrestling.mp4"
FIELDS = {
    "data__name": "several_labels",
    "data__options__train_clips": 320,
    "data__options__validation_clips": 60,
    "data__options__test_clips": 60,
    "data__num_frames": 4,
    "optim__lr": 1.0,
    "steps": 60,
}


def run(program, *flags, code=0):
    return finish(
        start_program("-m", "tests.support.several_labels", program, *flags), code
    )


@pytest.fixture(scope="module")
def several_run(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("several")
    run("train.py", *arguments(workdir, data_dir, **FIELDS))
    return workdir


@pytest.mark.slow
def test_a_network_learns_several_labels(several_run):
    lines = read_metrics(several_run)
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    # Sigmoids of 1/2 at first; the shares of the classes alone give 0.34.
    assert losses[0] == pytest.approx(np.log(2), abs=0.1) and losses[-1] < 0.34
    (test,) = (line for line in lines if line["kind"] == "test")
    # Chance is the share of clips: 1/12 of 12 classes and 1/6 of 6 pairs.
    assert test["mAP"] > 2 * (12 / 12 + 6 / 6) / 18
    assert "top1" not in test
    assert Run.open(several_run).description.task == MULTI_LABEL


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_highest_map(several_run):
    lines = read_metrics(several_run)
    validated = {x["step"]: x["mAP"] for x in lines if x["kind"] == "validation"}
    assert sorted(validated) == [20, 40, 60]
    best = max(validated, key=validated.get)
    assert checkpoints.find(several_run).name == str(best)


@pytest.mark.slow
def test_an_evaluation_reports_average_precisions(several_run, tmp_path):
    out, err = run("eval.py", f"--workdir={several_run}", f"--out={tmp_path}")
    line = json.loads(out)
    (test,) = (x for x in read_metrics(several_run) if x["kind"] == "test")
    assert (line["mAP"], line["clips"]) == (test["mAP"], 60)
    assert line["confusion"] is None and not list(tmp_path.glob("*.png"))
    with np.load(line["scores"]) as scores:
        assert (scores["labels"].sum(1) == 2).all()
        wanted = metrics.average_precision(scores["logits"], scores["labels"])
    np.testing.assert_allclose(list(line["per_class"].values()), wanted)
    assert list(line["per_class"])[ORDERS:] == list(PAIRS) and PAIRS[0] in err


@pytest.mark.slow
def test_classes_of_a_video_are_questions_of_their_own(several_run):
    out, _ = run("eval.py", f"--workdir={several_run}", f"--video={VIDEO}", "--top=18")
    shares = [float(line.split(" %")[0]) for line in out.splitlines()]
    assert shares == sorted(shares, reverse=True)
    # No softmax: two of eighteen are right, so that the sum is near 200.
    assert len(shares) == 18 and sum(shares) > 120
