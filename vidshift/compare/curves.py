"""Curves of the adaptive networks among the runs: tables of `vidshift budgets`."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from vidshift.adaptive import table
from vidshift.adaptive.table import BudgetRow
from vidshift.compare.members import Member
from vidshift.compare.rows import Row
from vidshift.evaluation.score_files import Origin
from vidshift.report.draw_curves import Beside, draw_curves
from vidshift.run import BUDGETS

# Fields of an origin and of a row's conditions.
TESTED = ("split", "protocol", "average")


def draw(
    out: pathlib.Path, rows: Sequence[Row]
) -> tuple[pathlib.Path | None, list[str]]:
    """Draws the curves of runs with a table of budgets, and other runs beside them.

    Returns:
      The file, None if no run has a table, and lines about what is not drawn.
    """
    fronts, notes, adaptive = {}, [], set()
    for row in rows:
        run = row.member.run
        if run is None or not (run.folder / BUDGETS / table.TABLE_FILE).is_file():
            continue
        adaptive.add(row.member.name)
        found, lines = curves_of(row.member, table.read(run.folder / BUDGETS))
        fronts |= found
        notes += lines
    if not fronts:
        return None, notes
    beside = [
        Beside(row.member.name, row.cost.macs / 1e9, 100 * row.figure)
        for row in rows
        if row.member.name not in adaptive and row.cost is not None
    ]
    file = out / "budgets.png"
    draw_curves(file, fronts, beside)
    return file, notes


def curves_of(
    member: Member, made: table.Table
) -> tuple[dict[str, list[BudgetRow]], list[str]]:
    """Returns the Pareto front of each crop, and of each calibration, of a table.

    Rows that were tested on another split, or otherwise, than the run are left out, with
    a line that says so.
    """
    kept = [row for row in made.rows if _tested_alike(row, member.origin)]
    notes = []
    if left_out := len(made.rows) - len(kept):
        notes.append(
            f"not drawn: {left_out} of {len(made.rows)} sub-networks of {member.name}, "
            f"tested otherwise than by {member.origin.protocol} on {member.origin.split}"
        )
    parts = collections.defaultdict(list)
    for row in kept:
        parts[row.crop, row.conditions].append(row)
    curves = {}
    for (crop, conditions), rows in parts.items():
        words = [member.name]
        if len({crop for crop, _ in parts}) > 1:
            words.append(f"{crop}² crops")
        if len({conditions for _, conditions in parts}) > 1:
            words.append(str(conditions))
        front = dataclasses.replace(made, rows=tuple(rows)).pareto()
        curves[", ".join(words)] = front
    return curves, notes


def _tested_alike(row: BudgetRow, origin: Origin) -> bool:
    return all(
        getattr(row.conditions, name) == getattr(origin, name) for name in TESTED
    )
