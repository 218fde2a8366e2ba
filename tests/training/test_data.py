"""Classes that training refuses, and what it says of a mirror image."""

import pytest

from vidshift.data.sources.split import Split
from vidshift.tasks import MULTI_LABEL
from vidshift.training.data import check_classes


def check(*classes, flip_labels=None, flip=True, paired=True, crops=1, **options):
    split = Split([], classes, flip_labels=flip_labels, **options)
    return check_classes(split, flip=flip, flip_paired=paired, crops=crops)


def test_one_class_teaches_nothing():
    with pytest.raises(
        ValueError, match="one class, 'only', so that every answer is rig"
    ):
        check("only")
    assert check("only", task=MULTI_LABEL) == ""


def test_what_is_swapped_is_said():
    swapped = "a mirror image swaps the classes 'a left' <-> 'a right'"
    classes = ("a left", "a right", "b")
    assert check(*classes, flip_labels=(1, 0, 2)) == swapped
    assert check(*classes, flip_labels=(1, 0, 2), flip=False) == ""
    assert check(*classes, flip_labels=(1, 0, 2), flip=False, crops=10) == swapped
    assert check(*classes) == check(*classes, flip_labels=(0, 1, 2)) == ""
    stay = "clips of these classes are not flipped: 'a left', 'a right'"
    assert check(*classes, flip_labels=(1, 0, 2), paired=False) == stay
    assert check(*classes, flip_labels=(0, 1, 2), paired=False) == ""


def test_a_class_without_a_mirror_image_is_refused():
    given = {"flip_labels": (-1, 1)}
    with pytest.raises(
        ValueError, match="'a left' is none of .* --config.data.flip=false"
    ):
        check("a left", "b", **given)
    assert check("a left", "b", **given, flip=False) == ""
    assert "not flipped: 'a left'" in check("a left", "b", **given, paired=False)
    with pytest.raises(ValueError, match="choose a --config.protocol of fewer crops"):
        check("a left", "b", **given, flip=False, crops=10)
