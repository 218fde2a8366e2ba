"""The configuration-budget table: what each sub-network costs and how good it is."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from vidshift.adaptive.subnetwork import SubNetwork
from vidshift.nets.weights import Arrays

TABLE_FILE = "table.json"


class Conditions(NamedTuple):
    """Conditions of an evaluation: accuracies of different ones cannot be compared."""

    split: str
    protocol: str
    # Of the views of a video: "logits" or "softmax".
    average: str
    # Training batches that the batch-norm statistics are the mean of, and their clips.
    calibration_batches: int
    calibration_clips: int

    def __str__(self) -> str:
        return (
            f"{self.protocol} ({self.average}) on {self.split}, calibrated over "
            f"{self.calibration_batches} batches of {self.calibration_clips}"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class BudgetRow:
    """A sub-network on clips of `crop` pixels.

    `gflops` counts multiplications of convolutions and linear layers for one clip, as the
    paper's tables do; `latency_ms` is that of one clip on the table's device.
    """

    subnetwork: SubNetwork
    crop: int
    gflops: float
    parameters: int
    top1: float
    top5: float
    conditions: Conditions
    latency_ms: float | None = None

    @property
    def file(self) -> str:
        """Name of the file of its batch-norm statistics, beside the table."""
        width, side, frames = self.subnetwork
        calibrated = (
            f"batches{self.conditions.calibration_batches}"
            f"x{self.conditions.calibration_clips}"
        )
        return (
            f"side{side}_frames{frames}_width{width:g}_crop{self.crop}_{calibrated}.npz"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Rows of one checkpoint (its step), and the device their latency is of.

    Rows of several conditions may lie in one table. Choices are made among those of one,
    which `under` selects. Crops may differ among them: a crop is part of a cost.
    """

    checkpoint: str
    device: str
    rows: tuple[BudgetRow, ...]

    def parts(self) -> dict[Conditions, "Table"]:
        """Returns a table for each of the conditions."""
        names = dict.fromkeys(row.conditions for row in self.rows)
        return {name: self.under(**name._asdict()) for name in names}

    def under(self, **conditions: str | int | None) -> "Table":
        """Returns the rows of one evaluation.

        Args:
          **conditions: fields of `Conditions`; None, or left out, is any.

        Raises:
          ValueError: no row has them, or rows of different conditions do.
        """
        asked = {name: value for name, value in conditions.items() if value is not None}
        rows = tuple(
            row
            for row in self.rows
            if asked.items() <= row.conditions._asdict().items()
        )
        present = dict.fromkeys(row.conditions for row in rows or self.rows)
        listed = "; ".join(map(str, present))
        if not rows:
            words = ", ".join(f"{name}={value}" for name, value in asked.items())
            raise ValueError(f"the table has no row of {words}; it has {listed}")
        if len(present) > 1:
            raise ValueError(
                "the table has rows of different tests, which cannot be compared: "
                f"{listed}; say which by protocol, split, average or calibration_batches"
            )
        return dataclasses.replace(self, rows=rows)

    def pareto(self) -> list[BudgetRow]:
        """Returns the Pareto front, cheapest first.

        Raises:
          ValueError: the rows are of different conditions.
        """
        self.under()
        best, found = -1.0, []
        for row in sorted(self.rows, key=lambda row: (row.gflops, -row.top1)):
            if row.top1 > best:
                best = row.top1
                found.append(row)
        return found

    def choose(
        self, *, gflops: float | None = None, latency_ms: float | None = None
    ) -> BudgetRow:
        """The most accurate within a budget, the cheapest of equals.

        Raises:
          ValueError: not one of the two is given, nothing is so cheap, or the rows are
            of different conditions.
        """
        self.under()
        if (gflops is None) == (latency_ms is None):
            raise ValueError("give one of gflops and latency_ms")
        name = "gflops" if latency_ms is None else "latency_ms"
        limit = gflops if latency_ms is None else latency_ms
        costs = [(getattr(row, name), row) for row in self.rows]
        known = [(cost, row) for cost, row in costs if cost is not None]
        if not known:
            raise ValueError(f"the table has no {name}: it was made without")
        within = [
            (-row.top1, cost, i) for i, (cost, row) in enumerate(known) if cost <= limit
        ]
        if not within:
            cheapest, row = min(known, key=lambda pair: pair[0])
            raise ValueError(
                f"no sub-network is within {name}={limit:g}; the cheapest, "
                f"{row.subnetwork}, has {cheapest:.4g}"
            )
        return known[min(within)[2]][1]

    def find(self, subnetwork: SubNetwork, crop: int | None = None) -> BudgetRow:
        """The row of a sub-network; of several crops the first.

        Raises:
          ValueError: there is none; the message lists those there are.
        """
        for row in self.rows:
            if row.subnetwork == subnetwork and crop in (None, row.crop):
                return row
        raise ValueError(
            f"the table has no {subnetwork}; it has "
            + " ".join(str(row.subnetwork) for row in self.rows)
        )


def merge(table: Table, old: Table | None) -> Table:
    """A table with an older one's other rows, where both are of one checkpoint.

    Of another device's rows the latency is dropped.
    """
    if old is None or old.checkpoint != table.checkpoint:
        return table

    def place(row: BudgetRow) -> tuple:
        return row.subnetwork, row.crop, row.conditions

    new = set(map(place, table.rows))
    kept = [row for row in old.rows if place(row) not in new]
    if old.device != table.device:
        kept = [dataclasses.replace(row, latency_ms=None) for row in kept]
    rows = sorted((*table.rows, *kept), key=lambda row: -row.gflops)
    return dataclasses.replace(table, rows=tuple(rows))


def write(folder: pathlib.Path, table: Table) -> None:
    """Writes `table.json`: flat rows, of which `pareto` says if one is on its front."""
    best = [row for part in table.parts().values() for row in part.pareto()]
    nested = ("subnetwork", "conditions")
    rows = [
        {"name": str(row.subnetwork)}
        | row.subnetwork._asdict()
        | {k: getattr(row, k) for k in BudgetRow.__slots__ if k not in nested}
        | row.conditions._asdict()
        | {"pareto": row in best}
        for row in table.rows
    ]
    content = {"checkpoint": table.checkpoint, "device": table.device, "rows": rows}
    rewritten = folder / f"{TABLE_FILE}.tmp"
    rewritten.write_text(json.dumps(content, indent=1) + "\n")
    rewritten.replace(folder / TABLE_FILE)


def read(folder: pathlib.Path) -> Table:
    """Reads `table.json`.

    Raises:
      ValueError: there is none, or it is damaged or of an older form.
    """
    path = folder / TABLE_FILE
    try:
        content = json.loads(path.read_text())
        rows = tuple(map(_row, content["rows"]))
        return Table(content["checkpoint"], content["device"], rows)
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing: `vidshift budgets --run=RUN` makes it"
        ) from None
    except KeyError as error:
        if error.args[0] in Conditions._fields:
            raise ValueError(
                f"the rows of {path} do not say their {error.args[0]}: an older version "
                "made it. Move it away; `vidshift budgets --run=RUN` makes it anew"
            ) from error
        raise ValueError(f"{path} is no table of budgets ({error!r})") from error
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no table of budgets ({error!r})") from error


def _row(fields: dict) -> BudgetRow:
    parts = {
        "subnetwork": SubNetwork(**{k: fields[k] for k in SubNetwork._fields}),
        "conditions": None,
    }
    figures = {k: fields[k] for k in BudgetRow.__slots__ if k not in parts}
    parts["conditions"] = Conditions(**{k: fields[k] for k in Conditions._fields})
    return BudgetRow(**figures, **parts)


def write_statistics(folder: pathlib.Path, row: BudgetRow, stats: Arrays) -> None:
    rewritten = folder / f"{row.file}.tmp.npz"
    np.savez(rewritten, **stats)
    rewritten.replace(folder / row.file)


def read_statistics(folder: pathlib.Path, row: BudgetRow) -> Arrays:
    with np.load(folder / row.file) as found:
        return dict(found)


def changed(before: SubNetwork, after: SubNetwork) -> str:
    """Which of "side", "frames" and "width" differs, or "several"."""
    pairs = zip(SubNetwork._fields, before, after)
    names = [name for name, old, new in pairs if old != new]
    return names[0] if len(names) == 1 else "several"


def lines(rows: Iterable[BudgetRow]) -> list[str]:
    """A Markdown table."""
    found = [
        "| S² x T, width | top-1 | GFLOPs | parameters | latency |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        width, side, frames = row.subnetwork
        latency = "" if row.latency_ms is None else f"{row.latency_ms:.1f} ms"
        found.append(
            f"| {side}² x {frames}, {width:g} | {100 * row.top1:.1f} % | "
            f"{row.gflops:.4g} | {row.parameters:,} | {latency} |"
        )
    return found
