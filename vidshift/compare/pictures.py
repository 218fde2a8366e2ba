"""Pictures of a comparison: accuracy over cost, and classes."""

import pathlib
import re
from collections.abc import Mapping, Sequence

from vidshift.compare.rows import Group, Row
from vidshift.evaluation.gains import ClassGain
from vidshift.nets import BACKBONES
from vidshift.report.draw_compare import Point, draw_compare
from vidshift.report.draw_gains import draw_gains

# Sizes of a backbone in its name: resnet50 and resnet101 are one family, as are
# rubiksnet_tiny and rubiksnet_large.
SIZE = re.compile(r"_?(\d|v\d|micro|tiny|small|medium|large).*")


def family(model: Mapping) -> str:
    """Returns the family of a network: its scheme, and its backbone without the size.

    Args:
      model: arguments of `vidshift.create`.
    """
    words = [SIZE.sub("", model["backbone"])]
    if model["temporal"] != "tsn" or not BACKBONES[model["backbone"]].mixes_time(model):
        words.insert(0, model["temporal"].upper())
    if model.get("variant"):
        words.append(model["variant"])
    if model.get("causal"):
        words.insert(0, "causal")
    return " ".join(words)


def over_cost(
    out: pathlib.Path, rows: Sequence[Row], groups: Sequence[Group], *, views: int
) -> tuple[dict[str, str], list[str]]:
    """Draws accuracy over multiplications, and over latency where it was measured.

    Returns:
      Files by the picture's name, and lines about what is not drawn.
    """
    figure = rows[0] if rows else groups[0].rows[0]
    best = figure.member.scores.task.best_by.replace("top1", "top-1")
    of_views = f", {views} views a video" if views > 1 else ""
    files, notes = {}, []
    for name, axis, unit in (
        ("gflops", f"GFLOPs a view (multiplications){of_views}", 1e9),
        ("latency", f"milliseconds a view on this device{of_views}", 1.0),
    ):
        points = [
            _point(row, name, unit) for row in rows if _cost(row, name) is not None
        ]
        points += [
            _mean(group, name, unit)
            for group in groups
            if all(_cost(row, name) is not None for row in group.rows)
        ]
        if not points:
            continue
        file = out / f"accuracy_over_{name}.png"
        draw_compare(
            file,
            points,
            cost=axis,
            accuracy=f"{best}, %",
            bar="95 % interval; of a group, least to most",
        )
        files[f"accuracy over {name}"] = str(file)
        missing = [row.member.name for row in rows if _cost(row, name) is None]
        if missing:
            notes.append(
                f"not in {file.name}, as the checkpoint is not there: "
                f"{', '.join(missing)}"
            )
    return files, notes


def of_classes(
    out: pathlib.Path, gains: Sequence[ClassGain], before: str, after: str
) -> pathlib.Path:
    """Draws the classes that gained or lost from one run to another."""
    name = re.sub(r"[^\w.-]+", "_", after)
    file = out / f"classes-{name}.png"
    draw_gains(file, gains, before=before, after=after)
    return file


def _cost(row: Row, name: str) -> float | None:
    if name == "latency":
        return row.latency_ms if row.cost else None
    return row.cost and row.cost.macs


def _point(row: Row, name: str, unit: float) -> Point:
    spread = row.interval and (100 * row.interval[0], 100 * row.interval[1])
    return Point(
        row.member.name,
        family(row.member.run.description.model),
        _cost(row, name) / unit,
        100 * row.figure,
        row.cost.parameters,
        spread,
    )


def _mean(group: Group, name: str, unit: float) -> Point:
    """Returns a group as a point: means, and the range of the accuracy."""
    best = group.spreads[group.rows[0].member.scores.task.best_by]
    families = dict.fromkeys(
        family(row.member.run.description.model) for row in group.rows
    )
    number = len(group.rows)
    return Point(
        group.name,
        " and ".join(families),
        sum(_cost(row, name) for row in group.rows) / unit / number,
        100 * best.mean,
        sum(row.cost.parameters for row in group.rows) // number,
        (100 * best.least, 100 * best.most),
    )
