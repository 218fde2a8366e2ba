"""A comparison as Markdown tables."""

from collections.abc import Iterable, Sequence

from vidshift.compare.rows import Group, Row
from vidshift.evaluation.gains import ClassGain

# Names of figures in headings, of a task with the task's name before.
HEADINGS = {"top1": "top-1", "top5": "top-5"}


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a Markdown table without the columns that are empty in every row."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    kept = [i for i in range(len(heading)) if any(row[i] for row in rows)]
    written = [[line[i] for i in kept] for line in (list(heading), *rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in written]
    return [lines[0], "|" + "---|" * len(kept), *lines[1:]]


def run_table(rows: Sequence[Row]) -> list[str]:
    """Returns the table of runs; figures of accuracy are in percent."""
    first = rows[0]
    best = first.member.scores.task.best_by
    others = [name for name in first.figures if name != best]
    heading = ["run", "network", "parameters", "GMACs a view", "ms a view", "split"]
    heading += ["clips", _heading(best), "95 % interval", *map(_heading, others)]
    heading += [f"against {first.member.name}", "gained, lost", "McNemar's p"]
    splits = {row.member.origin.split for row in rows}
    return table(heading, [_run_cells(row, best, others, len(splits)) for row in rows])


def _run_cells(row: Row, best: str, others: list[str], splits: int) -> list[str]:
    run, cost, test = row.member.run, row.cost, row.test
    low, high = row.interval or (None, None)
    return [
        row.member.name,
        f"{run.description.name}" if run else "",
        f"{cost.parameters:,}" if cost else "",
        f"{cost.macs / 1e9:.4g}" if cost else "",
        "" if row.latency_ms is None else f"{row.latency_ms:.3g}",
        row.member.origin.split if splits > 1 else "",
        f"{row.clips:,}",
        _percent(row.figures[best]),
        "" if low is None else f"{100 * low:.1f} to {100 * high:.1f}",
        *(_percent(row.figures[name]) for name in others),
        "" if row.difference is None else f"{100 * row.difference:+.2f}",
        f"{test.gained}, {test.lost}" if test else "",
        _p(test.p) if test else "",
    ]


def group_table(groups: Sequence[Group]) -> list[str]:
    """Returns the table of groups: mean ± standard deviation, least to most."""
    figures = list(groups[0].spreads)
    heading = ["group", "runs", "splits", *map(_heading, figures), "range"]
    heading += [f"against {groups[0].name}"]
    return table(heading, [_group_cells(group, figures) for group in groups])


def _group_cells(group: Group, figures: list[str]) -> list[str]:
    best = group.spreads[group.rows[0].member.scores.task.best_by]
    splits = dict.fromkeys(row.member.origin.split for row in group.rows)
    cells = [group.name, str(len(group.rows)), ", ".join(splits)]
    for name in figures:
        found = group.spreads[name]
        deviation = found.deviation
        spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
        cells.append(f"{_percent(found.mean)}{spread}")
    cells.append(f"{100 * best.least:.2f} to {100 * best.most:.2f}")
    difference = group.difference
    return cells + ["" if difference is None else f"{100 * difference:+.2f}"]


def class_table(gains: Sequence[ClassGain], before: str, after: str) -> list[str]:
    """Returns the table of classes that gained or lost from one run to another."""
    heading = ["class", "clips", "corrected", "broken", "net", "taken for", "by"]
    return table(
        heading,
        [
            [
                gain.name,
                str(gain.clips),
                str(gain.corrected),
                str(gain.broken),
                f"{gain.net:+}",
                gain.confusion or "",
                before if gain.net > 0 else after,
            ]
            for gain in gains
        ],
    )


def _heading(figure: str) -> str:
    task, _, name = figure.rpartition("_")
    return f"{task} {HEADINGS.get(name, name)}".strip() + ", %"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _p(p: float) -> str:
    return f"{p:.3g}" if p >= 1e-4 else "< 0.0001"
