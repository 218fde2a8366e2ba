"""Names beside points, placed so that they cover neither points, lines nor each other."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

# Where a label may stand, the most wanted first: right, left, above, below, corners.
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
# Distances from a point's edge, in points; beyond the first a thin line leads to it.
GAPS = (3.0, 10.0, 20.0, 35.0)
# Steps along a line between two points, each of which a label should not cover.
STEPS = 60


class Label(NamedTuple):
    """A name; `radius` is that of the point's circle, in points."""

    text: str
    x: float
    y: float
    radius: float = 3.0


def place(
    axes: Axes,
    names: Sequence[Label],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    *,
    size: float = 8.0,
) -> None:
    """Writes labels into a plot whose limits and scales are final.

    Args:
      axes: the plot.
      names: in data coordinates; the first have the first choice of places.
      lines: the points of each line that is drawn, in data coordinates.
      size: of the letters, in points.
    """
    canvas = FigureCanvasAgg(axes.figure)
    axes.figure.draw_without_rendering()  # lays out, which moves places in pixels
    pixels = axes.figure.dpi / 72
    centres = axes.transData.transform([(name.x, name.y) for name in names])
    radii = [name.radius * pixels for name in names]
    spots = [_along(axes.transData.transform(line)) for line in lines]
    taken = [_box(centre, r) for centre, r in zip(centres, radii, strict=True)]
    taken += [_box(spot, 1.0) for line in spots for spot in line]
    extent = axes.get_window_extent()
    inside = np.array([*extent.min, *extent.max])
    for centre, name in zip(centres, names, strict=True):
        drawn = axes.text(0, 0, name.text, fontsize=size)
        extent = drawn.get_window_extent(canvas.get_renderer())
        drawn.remove()
        half = np.array([extent.width, extent.height]) / 2
        moves = [
            (gap, move)
            for gap in GAPS
            for move in _moves(name.radius * pixels, half, gap * pixels)
        ]
        boxes = [_box(centre + move, half) for _, move in moves]
        covered = [_covered(box, np.array(taken), inside) for box in boxes]
        chosen = int(np.argmin(covered))  # of equals the first
        gap, move = moves[chosen]
        taken.append(boxes[chosen])
        leader = {"arrowstyle": "-", "color": "0.6", "lw": 0.6, "shrinkB": name.radius}
        axes.annotate(
            name.text,
            (name.x, name.y),
            xytext=tuple(move / pixels),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            zorder=5,
            arrowprops=leader if gap > GAPS[0] else None,
        )


def _moves(radius: float, half: np.ndarray, gap: float) -> Iterator[np.ndarray]:
    """Yields moves from a point to the middle of its label, in pixels."""
    for direction in DIRECTIONS:
        # In a corner the circle is nearer than its box.
        near = radius * (0.7 if all(direction) else 1.0)
        yield np.array(direction) * (near + gap + half)


def _along(line: np.ndarray) -> Iterator[np.ndarray]:
    for start, end in itertools.pairwise(line):
        for step in range(STEPS + 1):
            yield start + (end - start) * step / STEPS


def _box(centre: np.ndarray, half: np.ndarray | float) -> np.ndarray:
    """Returns left, bottom, right and top of a box around a point."""
    return np.concatenate([centre - half, centre + half])


def _covered(box: np.ndarray, taken: np.ndarray, inside: np.ndarray) -> float:
    """Returns the pixels of a label that cover something, or lie outside."""
    outside = np.prod(box[2:] - box[:2]) - _shared(box, inside[None])
    # Rounded, so that two places that cover nothing are equals.
    return round(float(outside + _shared(box, taken)), 3)


def _shared(box: np.ndarray, others: np.ndarray) -> float:
    """Returns the area that a box shares with others `[N, 4]`, summed."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return np.maximum(high - low, 0).prod(1).sum()
