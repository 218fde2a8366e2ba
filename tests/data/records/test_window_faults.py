"""What is no window: a cut, a fade, a picture that stands still."""

import numpy as np
import pytest

from tests.support import moving_square
from vidshift.data.records import window_faults
from vidshift.data.records.window_faults import fault

# Each at its own speed.
WINDOWS = np.arange(8) * np.array([[1], [2], [4]])


def judged(pictures: np.ndarray) -> str | None:
    pictures = np.clip(pictures, 0, 255).astype(np.uint8)
    cells = np.stack([window_faults.cells(picture) for picture in pictures])
    return fault(cells, WINDOWS)


@pytest.fixture(scope="module")
def moving():
    return moving_square.frames(28 / 12, side=128)


def test_a_square_that_moves_is_a_window(moving):
    assert len(moving) == 29 and judged(moving) is None


def test_a_small_square_is_one_too():
    still = np.repeat(moving_square.frames(0, side=128), 29, axis=0)
    for number, picture in enumerate(still):
        picture[60:70, 20 + 2 * number : 30 + 2 * number] = 250
    assert judged(still) is None


@pytest.mark.parametrize("place", [1, 9, 28])
def test_a_cut_anywhere_within_the_part(moving, place):
    other = moving_square.frames(28 / 12, side=128, seed=3)[:, ::-1] * 0.6 + 60
    pictures = np.concatenate([moving[:place], other[place:]])
    assert judged(pictures).startswith("cut: ")


@pytest.mark.parametrize("slope", [-1.5, 1.5])
def test_a_fade(moving, slope):
    faded = moving * 0.7 + 40 + slope * np.arange(29)[:, None, None, None]
    assert judged(faded).startswith("fade: the brightness moves steadily by ")


def test_light_that_comes_and_goes_is_no_fade(moving):
    swing = 10 * np.sin(np.arange(29) * 1.7)[:, None, None, None]
    assert judged(moving * 0.7 + 40 + swing) is None


def test_noise_and_light_without_motion_are_still():
    rng = np.random.default_rng(0)
    still = np.repeat(moving_square.frames(0, side=128), 29, axis=0)
    noisy = still + rng.normal(0, 8, still.shape)
    assert judged(noisy).startswith("still: ")
    swing = 10 * np.sin(np.arange(29) * 1.7)[:, None, None, None]
    assert judged(noisy * 0.7 + 40 + swing).startswith("still: ")


def test_a_part_that_stands_still_at_first(moving):
    """It moves at four times the speed, and not in the window at the first speed."""
    pictures = np.concatenate([np.repeat(moving[:1], 9, axis=0), moving[9:]])
    assert judged(pictures).startswith("still: ")


def test_cells_are_squares_of_any_picture():
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 64:] = 200
    cells = window_faults.cells(wide)
    assert cells.shape == (16, 32) and (cells[:, :16] == 0).all()
    assert (cells[:, 16:] == 200).all()
