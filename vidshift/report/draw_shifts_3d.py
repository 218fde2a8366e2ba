"""Shifts of a RubiksNet in space and time, seen from several sides: Figure A1 of the paper."""

import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D
from PIL import Image

# Layers that are drawn, evenly spread over the network.
DEPTHS = 4
# Degrees above the plane of time and width, and around the axis of height. A little off
# the axes, where labels would lie over each other: aslant, from above, nearly along width,
# and nearly along time.
ANGLES = ((22, -60), (65, -60), (12, -78), (12, -12))
# Of a turning view.
TURN_FRAMES, TURN_MS, TURN_COLOURS = 36, 100, 64


def views_of(figures: dict) -> dict:
    """Returns the figures of some layers, for JSON.

    Args:
      figures: what `draw_shifts.shifts_by_layer` gives of a network that shifts in time.

    Returns:
      `layers`, with each one's `number` from the input on and its shifts by channel, and
      the `angles` (elevation, azimuth) that they are seen from.
    """
    layers = figures["layers"]
    few = np.linspace(0, len(layers) - 1, min(DEPTHS, len(layers))).round().astype(int)
    return {
        "angles": [list(angle) for angle in ANGLES],
        "layers": [
            {"number": number + 1} | {k: layers[number][k] for k in ("name", *"thw")}
            for number in few.tolist()
        ],
    }


def draw(path: pathlib.Path, network: str, views: dict) -> None:
    """A PNG: a column a layer, a row an angle."""
    layers, angles = views["layers"], views["angles"]
    figure = _figure(network, layers, angles)
    figure.savefig(path, dpi=100)


def turn(path: pathlib.Path, network: str, views: dict) -> None:
    """A GIF of the layers side by side that turn about the axis of height."""
    layers = views["layers"]
    (elevation, azimuth), *_ = views["angles"]
    figure = _figure(network, layers, [(elevation, azimuth)])
    figure.set_dpi(80)
    canvas = FigureCanvasAgg(figure)
    pictures = []
    for step in range(TURN_FRAMES):
        for axes in figure.axes:
            axes.view_init(elevation, azimuth + 360 * step / TURN_FRAMES)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        pictures.append(picture.quantize(TURN_COLOURS, dither=Image.Dither.NONE))
    first, *others = pictures
    first.save(
        path, "GIF", save_all=True, append_images=others, duration=TURN_MS, loop=0
    )


def _figure(network: str, layers: list[dict], angles) -> Figure:
    reach = {axis: _reach([layer[axis] for layer in layers]) for axis in "thw"}
    figure = Figure(figsize=(2.6 * len(layers) + 0.4, 2.6 * len(angles) + 0.7))
    figure.subplots_adjust(0.01, 0.03, 0.97, 1 - 0.55 / figure.get_figheight(), 0.08, 0)
    for row, (elevation, azimuth) in enumerate(angles):
        for column, layer in enumerate(layers):
            place = row * len(layers) + column + 1
            axes = figure.add_subplot(
                len(angles), len(layers), place, projection="3d", proj_type="ortho"
            )
            _scatter(axes, layer, reach)
            axes.view_init(elevation, azimuth)
            if row == 0:
                axes.set_title(f"layer {layer['number']}", fontsize="medium", y=0.98)
    figure.suptitle(f"{network}\nshifts of channels", fontsize="medium", y=0.99)
    return figure


def _reach(rows: list[list[float]]) -> float:
    """Returns the half of an axis: a little more than the furthest shift, at least 1."""
    return max(1.0, *(float(np.abs(row).max()) for row in rows)) * 1.08


def _scatter(axes: Axes3D, layer: dict, reach: dict[str, float]) -> None:
    """Draws channels as points; those of one place are one point, the larger the more."""
    shifts = np.array([layer["t"], layer["w"], layer["h"]])
    (t, w, h), counts = np.unique(shifts, axis=1, return_counts=True)
    axes.scatter(
        t,
        w,
        h,
        c=t,
        s=10 * np.minimum(counts, 30),
        cmap="coolwarm",
        vmin=-reach["t"],
        vmax=reach["t"],
        edgecolors="0.35",
        linewidths=0.25,
        depthshade=False,
    )
    for name, limits in zip("twh", (axes.set_xlim, axes.set_ylim, axes.set_zlim)):
        # Positive is further down.
        limits(*((1, -1) if name == "h" else (-1, 1)) * np.array(reach[name]))
    axes.set_xlabel("t, frames", fontsize="small", labelpad=-8)
    axes.set_ylabel("w, places", fontsize="small", labelpad=-8)
    axes.set_zlabel("h, places", fontsize="small", labelpad=-8)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(3, integer=True))
    axes.tick_params(labelsize="x-small", pad=-3)
    axes.set_box_aspect((1, 1, 1), zoom=0.92)
