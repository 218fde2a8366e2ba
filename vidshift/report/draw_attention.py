"""Shifts that a RubiksNet's attention chose: Figure 5 of the paper, by layer."""

import pathlib

import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vidshift.shifts.attention import DECIDED, AttentionShift, WholeShift

# Without its yellow, which is faint on white.
DEPTH = ListedColormap(colormaps["viridis"](np.linspace(0, 0.92, 256)))


def shares_by_layer(
    layers: list[tuple[str, AttentionShift | WholeShift]], budget: float | None
) -> dict:
    """Returns the picture's figures, for JSON.

    Args:
      layers: by name, from the input on, all with the same taps. A hardened one is an
        attention that has decided.
      budget: share of channels, the mean over layers, that training let move; None
        where it set none.

    Returns:
      `layers`, with each one's share of channels by distance: `argmax`, of those whose
      largest tap it is, and `soft`, its attention, the mean over channels; the means over
      layers that `moved` to other frames, of all and of `groups` of them; how many `channels` there are and how many of
      them are `undecided`, as hardening counts them.
    """
    found = []
    for name, layer in layers:
        if isinstance(layer, WholeShift):
            taps = len(layer.distances)
            largest = layer.distance[...] - layer.distances[0]
            soft = (largest[:, None] == jnp.arange(taps)[None]).astype(jnp.float32)
        else:
            soft = layer.attention()
            taps = soft.shape[1]
            largest = layer.weight[...].argmax(1)  # as `harden` takes it
        argmax = np.bincount(np.asarray(largest), minlength=taps) / len(largest)
        found.append(
            {
                "name": name,
                "channels": len(soft),
                "undecided": int((soft.max(1) < DECIDED).sum()),
                "argmax": argmax.tolist(),
                "soft": np.asarray(soft.mean(0), np.float64).tolist(),
            }
        )
    distances = list(layer.distances)
    here = distances.index(0)
    return {
        "distances": distances,
        "budget": budget,
        "moved": _moved(found, here),
        "groups": [
            {"layers": [first + 1, last]} | _moved(found[first:last], here)
            for first, last in _groups([name for name, _ in layers])
        ],
        "channels": sum(layer["channels"] for layer in found),
        "undecided": sum(layer["undecided"] for layer in found),
        "layers": found,
    }


def _moved(layers: list[dict], here: int) -> dict[str, float]:
    """Returns the share of channels that move to other frames, the mean over layers."""
    return {
        kind: float(np.mean([1 - layer[kind][here] for layer in layers]))
        for kind in ("argmax", "soft")
    }


def _groups(names: list[str]) -> list[tuple[int, int]]:
    """Returns the first layer and the one after the last of each group of Table A1.

    A group is a stage; the first two stages, of one width, are the first group.
    """
    stages = [name.split(".")[1] if "." in name else "0" for name in names]
    groups = [max(int(stage), 1) for stage in stages]
    starts = [i for i, g in enumerate(groups) if i == 0 or g != groups[i - 1]]
    return list(zip(starts, [*starts[1:], len(groups)], strict=True))


def lines(figures: dict) -> list[str]:
    """Returns the table of Figure 5: the share that moves, of all and by groups."""
    budget = figures["budget"]
    rows = [("all", figures["moved"])]
    rows += [("{}-{}".format(*g["layers"]), g) for g in figures["groups"]]
    fixed = "" if budget is None else f"{budget:.2f}"
    return [
        "| layers | channels that move (largest tap) | attention | budget |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['argmax']:.2f} | {row['soft']:.2f} | {fixed} |"
            for name, row in rows
        ),
    ]


def draw(path: pathlib.Path, network: str, figures: dict) -> None:
    """A PNG of what `shares_by_layer` gives.

    Above, the share of channels with each distance, a bar a layer; below, the share that
    moves at all. Black lines are an allocation that spends the budget alike in all layers
    and on all distances but zero, which with three taps and a quarter is TSM's.
    """
    distances, layers = figures["distances"], figures["layers"]
    budget, here = figures["budget"], distances.index(0)
    depth = np.arange(1, len(layers) + 1)
    colours = DEPTH(np.linspace(0, 1, len(layers)))
    argmax = np.array([layer["argmax"] for layer in layers])
    soft = np.array([layer["soft"] for layer in layers])

    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subplots(2, height_ratios=(3, 2))
    width = 0.84 / len(layers)
    for tap, distance in enumerate(distances):
        places = distance + (np.arange(len(layers)) + 0.5) * width - 0.42
        above.bar(places, argmax[:, tap], 0.9 * width, color=colours)
        if budget is not None:
            share = budget / (len(distances) - 1) if tap != here else 1 - budget
            above.hlines(share, distance - 0.46, distance + 0.46, "black", lw=2)
    above.set_xticks(distances, [f"{d:+d}" if d else "0" for d in distances])
    above.set(xlabel="shift in time, frames", ylabel="channels (largest tap)")
    ramp = ScalarMappable(Normalize(1, max(len(layers), 2)), DEPTH)
    bar = figure.colorbar(ramp, ax=above, label="layer, from the input on", pad=0.01)
    bar.locator = MaxNLocator(8, integer=True)
    bar.update_ticks()

    below.bar(depth, 1 - argmax[:, here], 0.84, color=colours, label="largest tap")
    marker = "o" if len(layers) <= 20 else "."
    line = {"marker": marker, "color": "tab:red", "lw": 1}
    below.plot(depth, 1 - soft[:, here], label="attention", **line)
    if budget is not None:
        below.axhline(budget, color="black", lw=2, label=f"budget {budget:.1%}")
    below.set(xlabel="layer, from the input on", ylabel="channels that move")
    below.set_xlim(0.4, len(layers) + 0.6)
    below.xaxis.set_major_locator(MaxNLocator(20, integer=True))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    for axes in (above, below):
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    moved = figures["moved"]
    figure.suptitle(
        f"{network}\n{moved['argmax']:.1%} of channels move (attention: "
        f"{moved['soft']:.1%}), the mean over layers; {figures['undecided']:,} of "
        f"{figures['channels']:,} channels undecided",
        fontsize="medium",
    )
    figure.savefig(path, dpi=120)
