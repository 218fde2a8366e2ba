"""Tells where a window of a video shows no order of time, or one that no motion makes.

A picture is judged by its cells: mean grey levels, 0 to 255, of squares of a sixteenth of
the short side. Noise of single pixels is gone there, and a small object that moves is not.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

# Cells along the short side.
CELLS = 16
# A window is still where no cell's grey level, over the picture's mean, moves by so many
# between any two of its frames.
STILL = 8.0
# Two neighbouring frames are of two shots where cells change by so many grey levels on
# average, and by so many times as much as at the part's median step: fast motion changes
# much at every step.
CUT, CUT_RATIO = 12.0, 3.0
# A window fades where the mean grey level of its last frame is so many from its first's,
# and most of the changes on the way go the same way.
FADE, FADE_SHARE = 8.0, 0.8


def cells(rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "h w"]:
    """Returns mean grey levels of squares, float32."""
    height, width = rgb.shape[:2]
    scale = CELLS / min(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = Image.fromarray(rgb).convert("L")
    return np.asarray(grey.resize(size, Image.Resampling.BOX), np.float32)


def fault(
    part: Float[np.ndarray, "N h w"], windows: Int[np.ndarray, "K T"]
) -> str | None:
    """Returns why none of a place's clips is kept; None where all are.

    Args:
      part: cells of all frames from the first to the last that a window has.
      windows: numbers in `part` of each window's frames.

    Returns:
      "cut", "still" or "fade", a colon, and the figure.
    """
    if (change := cut(part)) is not None:
        return f"cut: the picture changes by {change:.1f} grey levels at once"
    for window in windows:
        if (change := motion(part[window])) < STILL:
            return f"still: no part of the picture changes by more than {change:.1f}"
        if (change := fade(part[window])) is not None:
            return f"fade: the brightness moves steadily by {change:+.1f} grey levels"
    return None


def cut(part: Float[np.ndarray, "N h w"]) -> float | None:
    """Returns the mean change at the largest step; None where it is no cut."""
    steps = np.abs(np.diff(part, axis=0)).mean((1, 2))
    largest = float(steps.max())
    usual = float(np.median(steps))
    return largest if largest >= max(CUT, CUT_RATIO * usual) else None


def motion(window: Float[np.ndarray, "T h w"]) -> float:
    """Returns the largest change of a cell's level over the mean, between any frames."""
    levels = window - window.mean((1, 2), keepdims=True)
    return float((levels.max(0) - levels.min(0)).max())


def fade(window: Float[np.ndarray, "T h w"]) -> float | None:
    """Returns the change of the mean level from first to last; None where it is no fade."""
    steps = np.diff(window.mean((1, 2)))
    change = float(steps.sum())
    is_steady = abs(change) >= FADE_SHARE * float(np.abs(steps).sum())
    return change if is_steady and abs(change) >= FADE else None
