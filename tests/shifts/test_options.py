"""Checks of options' values."""

import time

import numpy as np
import pytest

from vidshift.shifts.options import (
    check_choice,
    check_flag,
    check_number,
    check_share,
    check_whole,
)


@pytest.mark.parametrize("value", [1, 8, np.int64(3), 2**40])
def test_whole_numbers(value):
    check_whole("fold", value, 1)


@pytest.mark.parametrize("value", [0, -1, 2.5, 8.0, "8", True, None, ["0"]])
def test_no_whole_numbers(value):
    start = time.perf_counter()
    with pytest.raises(ValueError, match="fold must be a whole number from 1, got"):
        check_whole("fold", value, 1)
    assert time.perf_counter() - start < 1  # `value in range` would count on and on


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.25)])
def test_numbers(value):
    check_number("ratio", value, above=0, at_most=1)


@pytest.mark.parametrize("value", [0, 1.5, -1, float("nan"), "0.5", True, None])
def test_numbers_out_of_bounds(value):
    with pytest.raises(ValueError, match="ratio must be .* above 0 and at most 1, got"):
        check_number("ratio", value, above=0, at_most=1)


def test_an_infinite_number():
    with pytest.raises(
        ValueError, match="max must be a finite number above 0, got inf"
    ):
        check_number("max", float("inf"), above=0)


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan"), False, "0"])
def test_shares(value):
    check_share("dropout", 0)
    with pytest.raises(ValueError, match=r"dropout must be a number in \[0, 1\), got"):
        check_share("dropout", value)


def test_choices_and_flags():
    check_choice("gate", 1, ("learned", 1, -1, 0))
    for value in (True, "1", 1.0, None):
        with pytest.raises(ValueError, match="gate must be one of .*learned.*, got"):
            check_choice("gate", value, ("learned", 1, -1, 0))
    check_flag("causal", False)
    for value in (0, 1, "true", None):
        with pytest.raises(ValueError, match="causal must be True or False, got"):
            check_flag("causal", value)
