"""Several tasks from one network: EPIC-Kitchens' verb, noun and action."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.data.preparation.test_prepare import grey_video, run
from tests.support.commands import finish, start_program
from tests.support.miniatures import make
from vidshift.config import Config
from vidshift.evaluation.evaluate import Scores
from vidshift.tasks import MultiTask
from vidshift.tasks.kinds import split_logits
from vidshift.training.log import read_metrics

TASKS = {"verb": 2, "noun": 3}
TASK = MultiTask(TASKS)


def test_the_loss_is_the_sum_of_the_tasks():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
    labels = jnp.asarray([[0, 2], [1, 1], [1, 0], [0, 0]], jnp.int32)
    verbs, nouns = split_logits(logits, TASKS.values())
    np.testing.assert_array_equal(verbs, logits[:, :2])
    np.testing.assert_array_equal(nouns, logits[:, 2:])
    loss, top1 = TASK.loss(logits, labels, label_smoothing=0.0)
    by_hand = [
        -jax.nn.log_softmax(part)[np.arange(4), labels[:, i]].mean()
        for i, part in enumerate((verbs, nouns))
    ]
    np.testing.assert_allclose(loss, sum(by_hand), rtol=1e-6)
    assert top1 == (nouns.argmax(1) == labels[:, 1]).mean()


def test_figures_of_each_task():
    logits = np.float32([[9, 0, 0, 0, 9], [9, 0, 0, 9, 0], [0, 9, 9, 0, 0]])
    labels = np.int32([[0, 2], [1, 1], [1, 1]])
    scores = Scores(logits, labels, np.arange(3), ("",) * 3, (), TASK)
    figures = scores.summary()
    assert figures["clips"] == 3
    assert figures["top1"] == pytest.approx(2 / 3)  # of the noun, the last
    assert figures["verb_top1"] == pytest.approx(2 / 3)
    assert figures["verb_top5"] == 1
    by_class = scores.per_class()
    np.testing.assert_allclose(by_class, [1, 0.5, np.nan, 0.5, 1])


def test_labels_are_a_number_a_task():
    target = TASK.target((1, 2), 5)
    assert target.dtype == np.int32 and target.tolist() == [1, 2]
    for wrong in (1, (1,), (1, 2, 0)):
        with pytest.raises(ValueError, match=r"each of \['verb', 'noun'\]"):
            TASK.target(wrong, 5)


@pytest.mark.parametrize("mode", ["mutual", "multi_resolution"])
def test_what_does_not_go_with_tasks(mode):
    config = Config()
    TASK.check(config)
    config.model.head_size = 7
    with pytest.raises(ValueError, match="head_size=7"):
        TASK.check(config)
    config = Config()
    config.adaptive.mode = mode
    with pytest.raises(ValueError, match=f"adaptive.mode={mode}"):
        TASK.check(config)


@pytest.mark.slow
def test_a_network_learns_three_tasks(tmp_path, here, image):
    make("epic_kitchens100", tmp_path / "epic", grey_video(), image)
    assert run("epic_kitchens100", tmp_path / "epic", tmp_path) == 0
    flags = {
        "model.backbone": "resnet_tiny",
        "data.name": "epic_kitchens100",
        "data.dir": tmp_path,
        "data.options.storage": "fast",
        "data.validation_split": "validation",
        "data.test_split": "",
        "data.resize": 16,
        "data.crop": 16,
        "data.num_frames": 4,
        "batch_size": 4,
        "eval_batch_size": 4,
        "optim.warmup_epochs": 0,
        "steps": 4,
    }
    work = tmp_path / "run"
    finish(
        start_program(
            "train.py",
            "--config=configs/folder.py",
            f"--workdir={work}",
            *(f"--config.{k}={v}" for k, v in flags.items()),
        )
    )
    lines = [x for x in read_metrics(work) if x["kind"] == "validation"]
    assert {"top1", "top5", "verb_top1", "noun_top1", "verb_top5"} <= lines[0].keys()
    out, _ = finish(start_program("eval.py", f"--workdir={work}", "--split=validation"))
    result = json.loads(out)
    assert result["verb_top1"] in [x["verb_top1"] for x in lines]
    assert result["confusion"] is None
    (tmp_path / "one.mp4").write_bytes(grey_video())
    out, _ = finish(
        start_program("eval.py", f"--workdir={work}", f"--video={tmp_path / 'one.mp4'}")
    )
    tasks = [row.split("%")[1].split(":")[0].strip() for row in out.splitlines()]
    assert list(dict.fromkeys(tasks)) == ["verb", "noun", "action"]
