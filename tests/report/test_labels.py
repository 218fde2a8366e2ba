"""Labels of points cover neither points, lines nor each other."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from vidshift.report.labels import Label, place


def test_labels_of_near_points_stand_apart():
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    x, y = [4.6, 5.0, 5.4, 9.9, 2.0, 2.0], [5.0, 5.1, 5.0, 9.9, 2.0, 2.3]
    place(
        axes,
        [Label(f"network {i}", *at) for i, at in enumerate(zip(x, y, strict=True))],
        [list(zip(x, y, strict=True))[:4]],
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    assert [text.get_text() for text in texts] == [f"network {i}" for i in range(6)]
    figure.draw_without_rendering()
    # Of the letters alone, without the line that leads to the point.
    boxes = [Text.get_window_extent(text, renderer) for text in texts]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    points = axes.transData.transform(np.array([x, y]).T)
    for box in boxes:
        assert not any(box.contains(*point) for point in points)
        inside = axes.get_window_extent()
        assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)


@pytest.mark.parametrize("number", [1, 2])
def test_a_lone_point_has_its_label_on_the_right(number):
    axes = Figure().subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    place(axes, [Label("a", 5, 8 * i + 1) for i in range(number)])
    assert all(text.get_position()[0] > 0 for text in axes.texts)
    assert all(text.get_position()[1] == 0 for text in axes.texts)
