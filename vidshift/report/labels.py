"""Names beside points, placed so that they cover neither points nor each other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

# Where a label may stand, the most wanted first: right, left, above, below, corners.
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
# Distances from a point's edge, in points.
GAPS = (3.0, 10.0, 20.0)


class Label(NamedTuple):
    """A name; `radius` is that of the point's circle, in points."""

    text: str
    x: float
    y: float
    radius: float = 3.0
    colour: str = "black"


def place(axes: Axes, labels: Sequence[Label], *, size: float = 8.0) -> None:
    """Writes labels into a plot whose limits and scales are final.

    Args:
      axes: the plot.
      labels: in data coordinates; the first have the first choice of places.
      size: of the letters, in points.
    """
    figure = axes.figure
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # the layout, of which places in pixels depend
    pixels = figure.dpi / 72
    centres = axes.transData.transform([(label.x, label.y) for label in labels])
    taken = [
        _box(centre, label.radius * pixels, label.radius * pixels)
        for centre, label in zip(centres, labels, strict=True)
    ]
    inside = axes.get_window_extent()
    for centre, label in zip(centres, labels, strict=True):
        drawn = axes.text(0, 0, label.text, fontsize=size)
        extent = drawn.get_window_extent(canvas.get_renderer())
        drawn.remove()
        half = np.array([extent.width, extent.height]) / 2
        best = min(
            (
                (_cover(_box(centre + move, *half), taken, inside), i, tuple(move))
                for i, move in enumerate(_moves(label.radius * pixels, half, pixels))
            ),
        )
        move = np.array(best[2])
        taken.append(_box(centre + move, *half))
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=tuple(move / pixels),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=label.colour,
            zorder=5,
        )


def _moves(radius: float, half: np.ndarray, pixels: float):
    """Yields moves from a point to the middle of its label, in pixels."""
    for gap in GAPS:
        for direction in DIRECTIONS:
            # In a corner the circle is nearer than its box.
            near = radius * (0.7 if all(direction) else 1.0)
            yield np.array(direction) * (near + gap * pixels + half)


def _box(centre, half_width: float, half_height: float) -> Bbox:
    x, y = centre
    return Bbox.from_extents(
        x - half_width, y - half_height, x + half_width, y + half_height
    )


def _cover(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Returns the pixels of a label that cover something, or lie outside."""
    overlaps = (Bbox.intersection(box, other) for other in taken)
    within = Bbox.intersection(box, inside)
    area = box.width * box.height
    outside = area - (within.width * within.height if within else 0)
    return round(outside + sum(o.width * o.height for o in overlaps if o), 3)
