"""Intervals and tests of accuracies against worked values."""

import numpy as np
import pytest

from vidshift.evaluation.significance import bootstrap, compared, mcnemar, wilson
from vidshift.evaluation.spread import spread


@pytest.mark.parametrize(
    ("gained", "lost", "p", "exact"),
    [
        # 2 (1 + 12 + 66) / 4096.
        (10, 2, 0.0385742, True),
        (0, 0, 1.0, True),
        (3, 3, 1.0, True),  # twice the tail is above 1
        (0, 24, 2 / 2**24, True),
        # Chi-square (|25| - 1)² / 25 = 23.04.
        (25, 0, 1.5867e-6, False),
        # (121 - 59 - 1)² / 180 = 20.672.
        (121, 59, 5.4506e-6, False),
        (20, 20, 1.0, False),
    ],
)
def test_mcnemar(gained, lost, p, exact):
    found = mcnemar(gained, lost)
    assert found == (gained, lost, pytest.approx(p, rel=1e-4), exact)
    assert mcnemar(lost, gained).p == found.p


def test_clips_that_only_one_network_has_right():
    before = np.array([True, True, False, False, False])
    after = np.array([True, False, True, True, False])
    assert compared(before, after)[:2] == (2, 1)


@pytest.mark.parametrize(
    ("right", "clips", "interval"),
    [
        (8, 10, (0.4901625, 0.9433178)),
        (0, 10, (0.0, 0.2775328)),
        (10, 10, (0.7224672, 1.0)),
    ],
)
def test_wilson(right, clips, interval):
    assert wilson(right, clips) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize("call", [lambda: mcnemar(-1, 2), lambda: wilson(3, 2)])
def test_impossible_counts(call):
    with pytest.raises(ValueError, match="got -1 and 2|got 3 of 2"):
        call()


def test_spread_over_runs():
    found = spread([0.7, 0.8, 0.6])
    assert found == pytest.approx((0.7, 0.1, 0.6, 0.8))
    assert spread([0.5]) == (0.5, None, 0.5, 0.5)
    with pytest.raises(ValueError, match="empty"):
        spread([])


def test_bootstrap_resamples_groups():
    rng = np.random.default_rng(1)
    means = rng.random(40)
    # Ten clips of one group are always alike: as uncertain as one of each.
    alike = bootstrap(np.repeat(means, 10), np.repeat(np.arange(40), 10).tolist())
    single = bootstrap(means, range(40))
    np.testing.assert_allclose(alike, single, rtol=1e-12)
    # As the normal distribution has it.
    error = 1.96 * means.std() / np.sqrt(40)
    np.testing.assert_allclose(single, means.mean() + [-error, error], atol=0.01)
    assert bootstrap(np.repeat(means, 10), range(400))[0] > single[0] + error / 2
    # Larger groups count for more.
    low, high = bootstrap(np.asarray([1.0, 0, 0, 0]), "abbb")
    assert (low, high) == (0.0, 1.0)


@pytest.mark.parametrize("groups", ["", "ab"])
def test_bootstrap_needs_a_group_a_clip(groups):
    with pytest.raises(ValueError, match=f"one for each.*got {len(groups)} and 1"):
        bootstrap(np.ones(1), groups)
