"""Nearest neighbours."""

import numpy as np
import pytest

from vidshift.probe import nearest as module
from vidshift.probe.nearest import nearest


def angles(*degrees) -> np.ndarray:
    """Vectors in those directions, each of another length."""
    radians = np.deg2rad(np.asarray(degrees, np.float64))
    lengths = np.arange(1, 1 + len(degrees))[:, None]
    return lengths * np.stack([np.cos(radians), np.sin(radians)], 1)


def test_the_nearest_by_angle_vote():
    train, labels = angles(0, 10, 90, 100), np.asarray([2, 2, 0, 0])
    found = nearest(train, labels, angles(4, 80, -20, 120), k=2)
    assert found.tolist() == [2, 0, 2, 0]


def test_a_nearer_clip_outvotes_two_that_are_far():
    """exp(1 / 0.07) is more than 2 exp(cos(60 degrees) / 0.07)."""
    train, labels = angles(0, 60, -60), np.asarray([0, 1, 1])
    assert nearest(train, labels, angles(0), k=3).tolist() == [0]
    # At 5 degrees farther two are more than one.
    train = angles(0, 5, -5)
    assert nearest(train, labels, angles(0), k=3).tolist() == [1]


def test_rows_are_compared_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(30, 4)), rng.normal(size=(11, 4))
    labels = rng.integers(0, 3, 30)
    whole = nearest(train, labels, test, k=5)
    monkeypatch.setattr(module, "ROWS", 4)
    assert np.array_equal(nearest(train, labels, test, k=5), whole)
    assert len(np.unique(whole)) == 3


@pytest.mark.parametrize("k", [0, 5])
def test_k_is_a_number_of_clips(k):
    with pytest.raises(ValueError, match=rf"k must be in \[1, 4\].*got {k}"):
        nearest(angles(0, 1, 2, 3), np.zeros(4, int), angles(0), k=k)
