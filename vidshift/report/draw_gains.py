"""Classes that gained and lost from one network to another: GSF's Figure 7."""

import functools
import pathlib
import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vidshift.evaluation.gains import ClassGain
from vidshift.report import colours

LETTERS = 44  # of a line of a label


def draw_gains(
    path: pathlib.Path, gains: Sequence[ClassGain], *, before: str, after: str
) -> None:
    """Draws a PNG: a bar of corrected and one of broken clips for each class.

    Labels are "true class / class that it is taken for": by the first network if the
    class gained, by the second if it lost.

    Args:
      path: of the file.
      gains: at least one, from the top down.
      before, after: names of the networks.
    """
    texts = [_label(gain) for gain in gains]
    lines = sum(text.count("\n") + 1 for text in texts)
    height = 1.4 + 0.2 * lines + 0.15 * len(gains)
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    places = range(len(gains))
    for counts, colour, name in (
        ([gain.corrected for gain in gains], colours.BLUE, "corrected"),
        ([-gain.broken for gain in gains], colours.VERMILION, "broken"),
    ):
        bars = axes.barh(places, counts, color=colour, label=f"{name} clips")
        shown = [str(abs(count)) if count else "" for count in counts]
        axes.bar_label(bars, shown, padding=3, fontsize=8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, texts, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set_xlabel(f"clips, from {before} to {after}")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def _label(gain: ClassGain) -> str:
    parts = [gain.name, f"/ {gain.confusion}"] if gain.confusion else [gain.name]
    if sum(map(len, parts)) < LETTERS:
        return " ".join(parts)
    wrap = functools.partial(textwrap.fill, width=LETTERS, break_on_hyphens=False)
    return "\n".join(map(wrap, parts))
