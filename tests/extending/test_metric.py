"""The checklist "a metric" of docs/extending.md: an entry in the `metrics` of a kind."""

import numpy as np
import pytest

from vidshift.evaluation.evaluate import Scores
from vidshift.tasks import MultiTask, SingleLabel, metrics
from vidshift.training.log import RunLog, read_metrics


@pytest.fixture
def mean_class_accuracy():
    SingleLabel.metrics["mean_class_accuracy"] = lambda scored: float(
        np.nanmean(metrics.per_class(scored.logits, scored.labels))
    )
    yield
    del SingleLabel.metrics["mean_class_accuracy"]


def test_a_metric(mean_class_accuracy, tmp_path, capsys):
    logits = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1]]
    labels = np.array([0, 0, 0, 1, 0])
    scores = Scores(logits, labels, np.arange(5), ("",) * 5, ())
    figures = scores.summary()
    assert figures["top1"] == 4 / 5
    assert figures["mean_class_accuracy"] == (3 / 4 + 1) / 2

    log = RunLog(str(tmp_path), step=0, steps=1, log_steps=1, chief=True)
    log.figures("validation", 1, figures, SingleLabel.metrics)
    log.close()
    (line,) = read_metrics(tmp_path)
    assert line["mean_class_accuracy"] == 7 / 8
    assert "mean_class_accuracy 87.5 %" in capsys.readouterr().out


def test_several_tasks_have_it_too(mean_class_accuracy):
    task = MultiTask({"verb": 2, "noun": 1})
    logits = np.float32([[1, 0, 0], [1, 0, 0]])
    labels = np.int32([[0, 0], [1, 0]])
    figures = Scores(logits, labels, np.arange(2), ("",) * 2, (), task).summary()
    assert figures["verb_mean_class_accuracy"] == 0.5
    assert figures["mean_class_accuracy"] == 1
