"""Gates of GSM and GSF on a split's clips: Figure 8 of GSF's paper."""

import functools
import math
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float
from matplotlib.figure import Figure

from vidshift.data.loading.loader import Batches
from vidshift.kernels import Frames
from vidshift.layers.named import layers_of
from vidshift.nets.weights import Arrays, Skeleton
from vidshift.shifts.gate import Gate, GateShiftFuse

# Odd: zero, from which GSM starts, is in the middle of a bin.
BINS = 41
EDGES = np.linspace(-1, 1, BINS + 1)


class Watched(nnx.Module):
    """A gate, and a function that is told what it lets through."""

    def __init__(self, gate: Gate, tell: Callable[[Array], None]):
        self.gate = gate
        self.tell = nnx.static(tell)

    def __call__(self, x: Frames) -> Float[Array, "H W N 2"]:
        planes = self.gate(x)
        self.tell(x.like(jnp.tanh(planes)).clips())
        return planes


def histogram(gates: Float[Array, "B T H W 2"], clips: Bool[Array, " B"]) -> dict:
    """Counts gates of some clips, by half: `counts` int32 `[2, BINS]`, sums `[2]`."""
    bins = jnp.clip(((gates + 1) / 2 * BINS).astype(jnp.int32), 0, BINS - 1)
    used = jnp.broadcast_to(clips.reshape(-1, 1, 1, 1, 1), gates.shape)
    counts = [
        jnp.zeros(BINS, jnp.int32).at[bins[..., half]].add(used[..., half].astype(int))
        for half in range(2)
    ]
    gates = jnp.where(used, gates, 0)
    axes = (0, 1, 2, 3)
    return {
        "counts": jnp.stack(counts),
        "sum": gates.sum(axes),
        "sum_absolute": jnp.abs(gates).sum(axes),
    }


def make_gates_step(skeleton: Skeleton, normalise: Callable, names: list[str]):
    """Builds the jitted `(params, stats, video, index) -> histograms`, in order of names.

    `video` is uint8 `[B, T, H, W, C]`, `index` `[B]` with -1 for rows that are left out.
    """

    @jax.jit
    def gates_step(params: Arrays, stats: Arrays, video, index):
        model = skeleton.merge(params, stats)
        found = {}
        for name, layer in layers_of(model, GateShiftFuse):
            if name not in names:  # its gate is fixed
                continue
            note = functools.partial(found.__setitem__, name)
            layer.gate = Watched(layer.gate, note)
        model(normalise(video))
        return [histogram(found[name], index >= 0) for name in names]

    return gates_step


def gates_by_layer(
    gates_step, params: Arrays, stats: Arrays, batches: Batches, names: list[str]
) -> dict:
    """Returns the picture's figures, for JSON, over all clips that can be decoded.

    Args:
      gates_step: of `make_gates_step`.
      batches: of `vidshift.data.eval_batches`, one view of each video.
      names: of the layers, from the input on.

    Returns:
      `clips`, their number; the bins' `edges`; and `layers`, with each one's `counts` by
      half and bin, and by half the `mean` gate and the mean of its absolute value.

    Raises:
      ValueError: not one video could be decoded, or a gate is not finite.
    """
    clips, totals = 0, None
    for rows in batches:
        found = jax.device_get(
            gates_step(params, stats, rows["video"][:, 0], rows["index"])
        )
        found = jax.tree.map(
            lambda x: x.astype(np.int64 if x.dtype.kind == "i" else np.float64), found
        )
        totals = found if totals is None else jax.tree.map(np.add, totals, found)
        clips += int((rows["index"] >= 0).sum())
    if not clips:
        reasons = "; ".join(reason for _, reason in batches.failures[-1:])
        raise ValueError(f"no video can be decoded: {reasons}")
    layers = []
    for name, total in zip(names, totals, strict=True):
        if not np.isfinite(total["sum_absolute"]).all():
            raise ValueError(f"the gates of {name} are not finite")
        each = total["counts"].sum(1)
        layers.append(
            {
                "name": name,
                "mean": (total["sum"] / each).tolist(),
                "mean_absolute": (total["sum_absolute"] / each).tolist(),
                "counts": total["counts"].tolist(),
            }
        )
    return {"clips": clips, "edges": EDGES.tolist(), "layers": layers}


def draw(path: pathlib.Path, network: str, figures: dict) -> None:
    """A PNG of what `gates_by_layer` gives: a histogram a layer, its halves one on top.

    `figures` say besides whether the network is `causal`.

    Each has its own scale: it reaches the layer's fullest bin.
    """
    layers, edges = figures["layers"], figures["edges"]
    root = math.ceil(math.sqrt(len(layers)))
    # The fewest empty panels.
    columns = min(range(root, root + root // 2 + 1), key=lambda n: -len(layers) % n)
    rows = math.ceil(len(layers) / columns)
    size = (max(6.5, 1.9 * columns), 1.55 * rows + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    source = "t - 1" if figures["causal"] else "t + 1"
    looks = [("tab:blue", f"first half: moves from frame {source} to t")]
    looks += [("tab:orange", "second half: from t - 1 to t")]
    for number, (panel, layer) in enumerate(zip(panels, layers, strict=False), 1):
        for counts, (colour, label) in zip(layer["counts"], looks, strict=True):
            share = np.array(counts) / sum(counts)
            panel.stairs(share, edges, fill=True, alpha=0.3, color=colour)
            panel.stairs(share, edges, color=colour, label=label, lw=1)
        panel.axvline(0, color="black", lw=0.6, zorder=0)
        panel.set_title(f"{number}:  {_short(layer['name'])}", size=8)
        panel.set(yticks=(), xticks=(-1, 0, 1), xlim=(-1.02, 1.02))
        panel.tick_params(labelsize=8)
        panel.set_ylim(0, 1.2 * panel.get_ylim()[1])  # room for a line of text
        at = {"transform": panel.transAxes, "size": 7, "va": "top"}
        mean = np.mean(layer["mean_absolute"])
        panel.text(0.03, 0.96, f"|g| {mean:.2f}", **at)
    for panel in panels[len(layers) :]:
        panel.remove()
    for panel in panels[max(len(layers) - columns, 0) : len(layers)]:
        panel.tick_params(labelbottom=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        f"{network}\ngates (tanh) of each layer (stage.block.unit) over "
        f"{figures['clips']:,} clips; |g| is their mean size",
        fontsize="medium",
    )
    figure.savefig(path, dpi=120)


def _short(name: str) -> str:
    """A layer's stage, block and unit: what differs in its path."""
    common = ("stages", "branches", "units", "between")
    return ".".join(part for part in name.split(".") if part not in common)
