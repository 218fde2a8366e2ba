"""Scores paired clip by clip, and the classes that gain from one network to another."""

import dataclasses

import numpy as np
import pytest

from vidshift.evaluation import pairing
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.gains import ClassGain, ends, gains
from vidshift.evaluation.one_label import one_label
from vidshift.evaluation.score_files import Origin
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL, MultiTask

CLASSES = ("fold", "unfold", "lift")
ORIGIN = Origin("ssv1", "/data", "validation", "1x1", "logits", False, "a/1", "00ff")


def answered(answers, labels, ids=None, task=SINGLE_LABEL, failed=()) -> Scores:
    """Scores of a network that is sure of an answer for each clip."""
    logits = np.eye(len(CLASSES), dtype=np.float32)[list(answers)]
    ids = tuple(ids or "abcdefgh"[: len(logits)])
    failures = tuple((name, f"{name}: damaged") for name in failed)
    rows = np.arange(len(logits))
    return Scores(logits, np.asarray(labels), rows, ids, failures, task)


LABELS = [0, 0, 0, 1, 1, 2]
BEFORE = answered([2, 2, 0, 1, 1, 0], LABELS)
AFTER = answered([0, 0, 2, 1, 2, 1], LABELS)


def test_classes_that_gain_and_lose():
    found = gains(one_label(BEFORE, CLASSES), one_label(AFTER, CLASSES))
    assert found == [
        ClassGain("fold", 3, corrected=2, broken=1, before="lift", after="lift"),
        ClassGain("lift", 1, corrected=0, broken=0, before=None, after=None),
        ClassGain("unfold", 2, corrected=0, broken=1, before=None, after="lift"),
    ]
    assert [gain.net for gain in found] == [1, 0, -1]
    assert [gain.confusion for gain in found] == ["lift", None, "lift"]
    assert ends(found, 5) == [found[0], found[2]] and ends(found, 0) == []
    assert ends(found[:1] * 3 + found[2:] * 3, 2) == found[:1] * 2 + found[2:] * 2


def test_a_tie_is_wrong_as_in_top_1():
    alike = dataclasses.replace(BEFORE, logits=np.zeros_like(BEFORE.logits))
    label = one_label(alike, CLASSES)
    assert not label.right.any() and alike.summary()["top1"] == 0
    # Taken for the first of the other classes, never for itself.
    assert label.others.tolist() == [1, 1, 1, 0, 0, 0]


def test_the_last_of_several_tasks_is_the_label():
    task = MultiTask({"verb": 1, "action": 2})
    scores = answered([1, 2], [[0, 0], [0, 0]], task=task)
    label = one_label(scores, CLASSES)
    assert label.classes == ("unfold", "lift")
    assert label.right.tolist() == [True, False]
    hot = np.array([[1, 0, 1]], np.uint8)
    assert one_label(answered([0], hot, task=MULTI_LABEL), CLASSES) is None


def test_clips_in_another_order_meet_by_their_ids():
    order = [3, 5, 0, 4, 2, 1]
    mixed = Scores(
        AFTER.logits[order],
        AFTER.labels[order],
        AFTER.rows,
        tuple(AFTER.ids[i] for i in order),
        (),
    )
    first, second = pairing.align([BEFORE, mixed], names=["tsn", "tsm"])
    assert first.ids == second.ids == BEFORE.ids
    np.testing.assert_array_equal(second.logits, AFTER.logits)


def test_a_clip_that_one_could_not_decode_is_left_out_of_both():
    without = answered([1, 0, 1, 1, 0], LABELS[1:], ids="bcdef", failed="a")
    for members in ([BEFORE, without], [without, BEFORE]):
        first, second = pairing.align(members, names=["tsn", "tsm"])
        assert first.ids == second.ids == tuple("bcdef")
        np.testing.assert_array_equal(first.labels, LABELS[1:])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (answered([0], [0], ids="a"), "only tsn has 'b', 'c', 'd', 'e', 'f'"),
        (answered([0] * 7, [*LABELS, 0]), "only tsm has 'g'"),
        (answered([0] * 6, [1, *LABELS[1:]]), "other labels for a clip"),
        (answered([0] * 6, LABELS, ids="aabcde"), "several clips of one id"),
        (
            answered([0] * 6, [[0, 0]] * 6, task=MultiTask({"verb": 2, "noun": 1})),
            "another kind",
        ),
    ],
)
def test_scores_of_other_clips_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        pairing.align([BEFORE, other], names=["tsn", "tsm"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "jester"),
        ("split", "test"),
        ("protocol", "2x3"),
        ("average", "softmax"),
    ],
)
def test_other_protocols_are_refused(field, value):
    other = ORIGIN._replace(**{field: value}, checkpoint="b/2", weights="11")
    message = f"tsn and tsm cannot be compared: {field} is .* of tsn and {value} of tsm"
    with pytest.raises(ValueError, match=message):
        pairing.check_origins(ORIGIN, other, us="tsn", them="tsm")
    pairing.check_origins(ORIGIN, ORIGIN, us="tsn", them="tsm")
