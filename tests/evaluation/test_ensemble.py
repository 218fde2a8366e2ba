"""Networks scored together, their files of scores, and submissions."""

import dataclasses

import numpy as np
import pytest

from vidshift.evaluation import score_files, submission
from vidshift.evaluation.ensemble import combine
from vidshift.evaluation.evaluate import Scores
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL, MultiTask

CLASSES = ("left", "right", "up", "down", "in", "out")


def scores(logits, labels, ids=None, task=SINGLE_LABEL, failures=()) -> Scores:
    logits = np.asarray(logits, np.float32)
    ids = ids or tuple("abcdefgh"[: len(logits)])
    rows = np.arange(len(logits))
    return Scores(logits, np.asarray(labels), rows, tuple(ids), failures, task)


def softmax(logits):
    shares = np.exp(np.asarray(logits, float))
    return shares / shares.sum(-1, keepdims=True)


RGB = scores([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]], [0, 1])
FLOW = scores([[0.0, 1.0, 5.0], [1.0, 1.0, 0.0]], [0, 1])
NAMES = ("rgb", "flow")


def test_logits_are_averaged_by_weight():
    found = combine([RGB, FLOW], names=NAMES, weights=[1, 1.5])
    np.testing.assert_allclose(found.logits, (RGB.logits + 1.5 * FLOW.logits) / 2.5)
    assert found.logits.dtype == np.float32
    assert found.ids == ("a", "b") and found.labels.tolist() == [0, 1]
    plain = combine([RGB, FLOW], names=NAMES)
    np.testing.assert_allclose(plain.logits, (RGB.logits + FLOW.logits) / 2)


def test_softmax_is_averaged_and_its_logarithm_given():
    found = combine([RGB, FLOW], names=NAMES, weights=[3, 1], of="softmax")
    wanted = (3 * softmax(RGB.logits) + softmax(FLOW.logits)) / 4
    np.testing.assert_allclose(np.exp(found.logits), wanted, rtol=1e-5)


def test_classes_are_put_in_another_order():
    order = ("c", "a", "b")
    found = FLOW.by_name(("a", "b", "c"), order)
    assert found.logits.tolist() == [[5.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    assert found.labels.tolist() == [1, 2] and found.ids == FLOW.ids
    back = found.by_name(order, ("a", "b", "c"))
    np.testing.assert_array_equal(back.logits, FLOW.logits)
    assert back.labels.tolist() == FLOW.labels.tolist()
    without = scores([[1.0, 2.0, 3.0]], [-1]).by_name(("a", "b", "c"), order)
    assert without.labels.tolist() == [-1]
    hot = np.array([[1, 0, 0]], np.uint8)
    several = scores([[1.0, 2.0, 3.0]], hot, task=MULTI_LABEL)
    assert several.by_name(("a", "b", "c"), order).labels.tolist() == [[0, 1, 0]]


def test_each_task_has_its_softmax():
    task = MultiTask({"verb": 2, "noun": 1})
    one, two = (scores(s.logits, [[0, 0], [1, 0]], task=task) for s in (RGB, FLOW))
    found = combine([one, two], names=NAMES, of="softmax")
    wanted = (softmax(RGB.logits[:, :2]) + softmax(FLOW.logits[:, :2])) / 2
    np.testing.assert_allclose(np.exp(found.logits[:, :2]), wanted, rtol=1e-5)
    np.testing.assert_allclose(found.logits[:, 2], 0, atol=1e-6)
    assert found.task == task


def test_several_labels_have_sigmoids():
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
    one, two = (scores(s.logits, labels, task=MULTI_LABEL) for s in (RGB, FLOW))
    found = combine([one, two], names=NAMES, of="softmax")
    sigmoid = lambda x: 1 / (1 + np.exp(-x.astype(float)))
    wanted = (sigmoid(RGB.logits) + sigmoid(FLOW.logits)) / 2
    np.testing.assert_allclose(sigmoid(found.logits), wanted, rtol=1e-5)


def test_clips_meet_by_their_ids():
    """In another order, each without one, one of them damaged."""
    one = scores([[1, 0], [2, 0], [3, 0]], [0, 1, 0], ids=("a", "b", "c"))
    two = scores(
        [[0, 30], [0, 10]], [0, 0], ids=("c", "a"), failures=(("b", "b: damaged"),)
    )
    found = combine([one, two], names=NAMES)
    assert found.ids == ("a", "c")
    assert found.logits.tolist() == [[0.5, 5], [1.5, 15]]
    assert found.labels.tolist() == [0, 0]
    assert found.failures == (("b", "b: damaged"),)


def test_a_clip_that_a_member_never_saw_is_named():
    one = scores([[1, 0], [2, 0]], [0, 1], ids=("a", "b"))
    two = scores([[1, 0]], [0], ids=("a",))
    for members, names in (([one, two], NAMES), ([two, one], NAMES[::-1])):
        found = combine(members, names=names)
        assert found.failures == (("b", "b: not scored by flow"),)


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ([RGB, FLOW], {"weights": [1]}, "2 numbers above 0, one for each of rgb, flow"),
        ([RGB, FLOW], {"weights": [1, 0]}, "above 0"),
        ([RGB, FLOW], {"weights": [1, float("nan")]}, "above 0"),
        ([RGB, scores([[1, 2]], [0], ids="a")], {}, "flow scores 2 classes, and rgb 3"),
        ([RGB, scores(FLOW.logits, [0, 2])], {}, "other labels"),
        ([RGB, scores(FLOW.logits, [0, 1], ids=("x", "y"))], {}, "no clip was scored"),
        (
            [RGB, scores(FLOW.logits, [0, 1], ids=("a", "a"))],
            {},
            "several clips of one",
        ),
        (
            [
                RGB,
                scores(
                    FLOW.logits,
                    [[0, 0], [1, 0]],
                    task=MultiTask({"verb": 2, "noun": 1}),
                ),
            ],
            {},
            "another kind",
        ),
    ],
)
def test_members_that_do_not_fit(members, options, message):
    with pytest.raises(ValueError, match=message):
        combine(members, names=NAMES, **options)


# ------------------------------------------------------------------ files of scores
@pytest.mark.parametrize(
    "found",
    [
        RGB,
        scores(
            RGB.logits, np.array([[1, 0, 1], [0, 0, 0]], np.uint8), task=MULTI_LABEL
        ),
        scores(RGB.logits, [[0, 0], [1, 0]], task=MultiTask({"verb": 2, "noun": 1})),
    ],
)
def test_a_file_of_scores_is_read_as_it_was_written(found, tmp_path):
    path = tmp_path / "x.npz"
    found = dataclasses.replace(found, failures=(("c", "c: damaged"),))
    origin = score_files.Origin("a", "/d", "test", "1x1", "logits", True, "r/1", "ff")
    score_files.write(path, found, CLASSES[:3], origin)
    again, classes, source = score_files.read(path)
    assert classes == CLASSES[:3] and again.ids == found.ids
    assert source == origin == score_files.read_origin(path)
    assert [name for name, _ in again.failures] == ["c"]
    np.testing.assert_array_equal(again.logits, found.logits)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert again.labels.dtype == found.labels.dtype and again.task == found.task
    assert again.summary() == found.summary()


def test_a_file_of_an_older_version_does_not_say_what_it_is_of(tmp_path):
    score_files.write(tmp_path / "new.npz", RGB, CLASSES[:3])
    arrays = dict(np.load(tmp_path / "new.npz"))
    arrays = {k: v for k, v in arrays.items() if k not in ("failed", "origin")}
    np.savez(tmp_path / "old.npz", **arrays)
    for name in ("new", "old"):
        scores, _, origin = score_files.read(tmp_path / f"{name}.npz")
        assert origin is None and scores.failures == ()
        assert score_files.read_origin(tmp_path / f"{name}.npz") is None


@pytest.mark.parametrize("kind", ["cut", "text", "other", "misshapen"])
def test_what_is_no_file_of_scores(kind, tmp_path):
    path = tmp_path / "x.npz"
    score_files.write(path, RGB, CLASSES[:3])
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "text":
        path.write_text("ids, labels")
    elif kind == "other":
        np.savez(path, weights=np.zeros(3))
    else:
        score_files.write(path, RGB, CLASSES[:2])
    with pytest.raises(ValueError, match=r"x\.npz(: no| is not a) file of scores"):
        score_files.read(path)
    with pytest.raises(ValueError, match="no such file of scores"):
        score_files.read(tmp_path / "y.npz")


# ---------------------------------------------------------------------- submissions
TEST = scores([[0, 5, 1, 4, 2, 3], [9, 0, 0, 0, 0, 0]], [-1, -1], ids=("12", "7"))


@pytest.mark.parametrize(
    ("dataset", "lines"),
    [
        ("something_v1", ["12;right", "7;left"]),
        ("jester", ["12;right", "7;left"]),
        # Of equal scores the first.
        ("something_v2", ["12;1;3;5;4;2", "7;0;1;2;3;4"]),
    ],
)
def test_submission(dataset, lines, tmp_path):
    submission.write(tmp_path / "deep" / "a.csv", TEST, CLASSES, dataset)
    assert (tmp_path / "deep" / "a.csv").read_text().splitlines() == lines


def test_a_data_set_without_a_server(tmp_path):
    with pytest.raises(ValueError, match="something_v1, something_v2, jester, got ucf"):
        submission.write(tmp_path / "a.csv", TEST, CLASSES, "ucf101")
