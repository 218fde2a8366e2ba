"""Distances of a RubiksNet's shifts in time and space: Figure 6 of the paper, by layer."""

import pathlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vidshift.shifts.rubiks import Shift3D

# Layers whose channels are drawn one by one.
DEPTHS = 6
NAMES = {"t": "time, frames", "h": "height, places", "w": "width, places"}
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)


def shifts_by_layer(layers: list[tuple[str, Shift3D]]) -> dict:
    """Returns the picture's figures, for JSON: the shifts that act, bounded and rounded.

    Args:
      layers: by name, from the input on.

    Returns:
      `layers`, with each one's shifts by channel `t`, `h`, `w` (no `t` where time is not
      shifted), the quartiles and the mean of their `distance`, and how many channels have
      a shift `beyond_max_shift`, which acts as the bound.
    """
    found = []
    for name, layer in layers:
        rows = np.asarray(layer.rows(), np.float32)
        bound = np.asarray(layer.max_shift, np.float32)[:, None]
        acting = layer.acting()
        axes = {"t": 0, "h": 1, "w": 2}
        if layer.time == "none":
            del axes["t"]
        found.append(
            {
                "name": name,
                "channels": rows.shape[1],
                "beyond_max_shift": int((abs(rows) > bound).any(0).sum()),
                "distance": {
                    axis: _distribution(abs(acting[row])) for axis, row in axes.items()
                },
                **{
                    # Shorter in JSON, and as exact as anyone can see.
                    axis: acting[row].astype(np.float64).round(4).tolist()
                    for axis, row in axes.items()
                },
            }
        )
    return {
        "max_shift": dict(zip("thw", layers[0][1].max_shift, strict=True)),
        "quantized": layers[0][1].quantize,
        "fixed": {"time": layer.time == "fixed", "space": layer.space == "fixed"},
        "layers": found,
    }


def _distribution(distances: np.ndarray) -> dict:
    return {
        "quartiles": np.quantile(distances, (0.25, 0.5, 0.75)).tolist(),
        "mean": float(distances.mean(dtype=np.float64)),
    }


def draw(path: pathlib.Path, network: str, figures: dict) -> None:
    """A PNG of what `shifts_by_layer` gives.

    Above, a few layers' channels by their shift in space, coloured by that in time; below,
    how far the channels of every layer are shifted. Channels that are shifted by the same
    whole places lie around these, the more the wider, from the past (inside) on.
    """
    layers = figures["layers"]
    axes = [axis for axis in NAMES if axis in layers[0]]
    few = np.linspace(0, len(layers) - 1, min(DEPTHS, len(layers)))
    few = few.round().astype(int)
    size = (max(9, 2.3 * len(few) + 1), 7 if len(few) <= 3 else 6.4)
    figure = Figure(figsize=size, layout="constrained")
    above, below = figure.subfigures(2, height_ratios=(6, 5))

    furthest = {a: max(np.abs(x[a]).max() for x in layers) for a in axes}
    side = max(furthest["h"], furthest["w"], 1.0)
    time = max(furthest.get("t", 0.0), 0.5)
    norm = Normalize(-time, time)
    panels = above.subplots(1, len(few), sharex=True, sharey=True, squeeze=False)[0]
    for panel, number in zip(panels, few, strict=True):
        points = _scatter(panel, layers[number], norm, pitch=0.075 * (side + 0.6))
        panel.set(aspect="equal", xlim=(-side - 0.6, side + 0.6))
        panel.set_ylim(side + 0.6, -side - 0.6)  # positive is further down
        panel.set_title(f"layer {number + 1}", fontsize="medium")
        panel.set_xlabel("w, places")
        panel.grid(alpha=0.3)
        panel.set_axisbelow(True)
        for ticks in (panel.xaxis, panel.yaxis):
            ticks.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel("h, places")
    if "t" in axes:
        bar = above.colorbar(points, ax=panels, label="t, frames", shrink=0.8, pad=0.01)
        if figures["quantized"]:
            bar.locator = MaxNLocator(integer=True)
            bar.update_ticks()

    depth = np.arange(1, len(layers) + 1)
    marker = {"marker": "o", "ms": 3} if len(layers) <= 20 else {}
    panels = below.subplots(1, len(axes), squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        spread = [layer["distance"][axis] for layer in layers]
        low, median, high = np.transpose([x["quartiles"] for x in spread])
        fixed = figures["fixed"]["time" if axis == "t" else "space"]
        # Between whole places there is nothing.
        step = "mid" if fixed or figures["quantized"] else None
        band = {"alpha": 0.25, "lw": 0, "step": step}
        panel.fill_between(depth, low, high, label="middle half", **band)
        style = "steps-mid" if step else "default"
        panel.plot(depth, median, label="median", drawstyle=style, **marker)
        mean = [x["mean"] for x in spread]
        panel.plot(depth, mean, "--", color="black", lw=1, label="mean")
        panel.set_title(f"|{axis}|, {NAMES[axis]}" + " (fixed)" * fixed, size="medium")
        panel.set_xlabel("layer, from the input on")
        panel.set_xlim(0.5, len(layers) + 0.5)
        panel.set_ylim(0, 1.08 * max(high.max(), max(mean), 0.5))
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        panel.grid(alpha=0.3)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    bound = figures["max_shift"]["t" if figures["fixed"]["space"] else "h"]
    beyond = sum(layer["beyond_max_shift"] for layer in layers)
    channels = sum(layer["channels"] for layer in layers)
    figure.suptitle(
        f"{network}\nshifts of {channels:,} channels, {beyond:,} of them beyond the "
        f"bound of {bound:g} and drawn at it",
        fontsize="medium",
    )
    figure.savefig(path, dpi=120)


def _scatter(panel: Axes, layer: dict, norm: Normalize, *, pitch: float):
    """A layer's channels as points `(w, h)`, coloured by t; around a place, `pitch` apart."""
    w, h = np.array(layer["w"]), np.array(layer["h"])
    t = np.array(layer.get("t", np.zeros(len(w))))
    if (w == w.round()).all() and (h == h.round()).all():
        order = np.lexsort((t, w, h))  # neighbours in a place are of one colour
        w, h, t = w[order], h[order], t[order]
        _, place, counts = np.unique(
            np.stack([h, w]), axis=1, return_inverse=True, return_counts=True
        )
        place = place.ravel()
        within = np.arange(len(w)) - np.searchsorted(place, place)
        radius = min(pitch, 0.45 / np.sqrt(counts.max())) * np.sqrt(within)
        w = w + radius * np.cos(GOLDEN_ANGLE * within)
        h = h + radius * np.sin(GOLDEN_ANGLE * within)
    size = 14 if len(w) <= 150 else 7
    look = {"s": size, "edgecolors": "0.35", "linewidths": 0.25}
    if "t" not in layer:
        return panel.scatter(w, h, c="tab:blue", **look)
    return panel.scatter(w, h, c=t, cmap="coolwarm", norm=norm, **look)
