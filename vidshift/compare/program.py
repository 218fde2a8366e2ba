"""Compares runs: `vidshift compare`."""

import argparse
import json
import pathlib
from typing import NamedTuple

import jax

from vidshift.class_names import listed
from vidshift.command_line.errors import check_out
from vidshift.compare import cost, curves, markdown, members, pictures, rows
from vidshift.compare.members import Member
from vidshift.data.views.eval_views import WHOLE
from vidshift.evaluation import gains, pairing
from vidshift.evaluation.gains import ClassGain
from vidshift.evaluation.protocols import Protocol, chosen


class Comparison(NamedTuple):
    """All figures; `classes` are of each run against the first, by the run's name."""

    runs: list[rows.Row]
    groups: list[rows.Group]
    classes: dict[str, list[ClassGain]]
    notes: list[str]

    @property
    def every_row(self) -> list[rows.Row]:
        """The runs, then those of groups that are not among them."""
        every = {row.member.name: row for row in self.runs}
        for group in self.groups:
            for row in group.rows:
                every.setdefault(row.member.name, row)
        return list(every.values())

    @property
    def first(self) -> rows.Row:
        """The row that the others are against."""
        return self.every_row[0]


def main(options: argparse.Namespace) -> int:
    if not options.runs and not options.group:
        raise ValueError("give the RUNs to compare, or a --group of them")
    protocol = chosen(options.protocol, options.average)
    if options.out:
        check_out("--out", options.out, folder=True)
    comparison = compared(options, protocol)
    files = {}
    if options.out:
        out = pathlib.Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        files = drawn(out, comparison, protocol)
    text, figures = markdown_of(comparison, files), to_json(comparison, files)
    if options.latency:
        device = {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
        figures |= device
        text += f"\nLatency: {device['device']}, jax {device['jax']}.\n"
    if options.out:
        (out / "compare.md").write_text(text)
        (out / "compare.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures) if options.json else text.rstrip())
    return 0


def compared(options: argparse.Namespace, protocol: Protocol) -> Comparison:
    """Evaluates what is not yet, and computes all figures.

    Raises:
      ValueError: runs that cannot be compared, or with --no-eval are not evaluated.
    """
    if len(dict(options.group)) < len(options.group):
        raise ValueError("--group: two groups have one name")
    every = loaded(options)
    first = next(iter(every.values()))
    known = costs(every, protocol, latency=options.latency)
    runs = [every[source] for source in options.runs]
    run_rows = rows.rows_of_runs(runs, known)
    groups, notes = [], dict.fromkeys(remarks(runs, protocol))
    for name, sources in options.group:
        found, lines = rows.rows_of_group(first, [every[s] for s in sources], known)
        notes |= dict.fromkeys(lines)
        groups.append(rows.group(name, found, groups[0] if groups else None))
    classes = {}
    for other in runs[1:] if options.classes else ():
        found = gains.ends(rows.class_gains(runs[0], other), options.classes)
        classes |= {other.name: found} if found else {}
    return Comparison(run_rows, groups, classes, list(notes))


def remarks(runs: list[Member], protocol: Protocol) -> list[str]:
    """Returns lines on what the runs' table does not say."""
    lines = []
    failed = {name for run in runs for name, _ in run.scores.failures}
    if failed:
        names = listed(sorted(failed))
        lines.append(f"left out of all, as not every run could decode them: {names}")
    if protocol.crops == WHOLE:
        lines.append("a whole frame's cost is that of a square of its short side")
    return lines


def loaded(options: argparse.Namespace) -> dict[str, Member]:
    """Reads every run's scores once, by its source; classes are the first run's."""
    sources = [*options.runs, *(s for _, group in options.group for s in group)]
    found = {source: members.find(source, options) for source in sources}
    places = [found[source].place for source in options.runs]
    for source, place in zip(options.runs, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"{source} is given {places.count(place)} times")
    missing = [one.command for one in found.values() if one.file is None]
    if missing and options.no_eval:
        raise ValueError(f"--no-eval: scores are missing, of: {'; '.join(missing)}")
    every, first = {}, None
    for (source, one), name in zip(
        found.items(), members.names(list(found.values())), strict=True
    ):
        member = members.load(one, name)
        first = first or member
        every[source] = rows.with_classes_of(first, member, options.map_classes)
    return every


def costs(
    every: dict[str, Member], protocol: Protocol, *, latency: bool
) -> dict[str, dict]:
    """Counts, and perhaps times, each network whose checkpoint is there."""
    runs = {m.name: m.run for m in every.values() if m.run is not None}
    milliseconds = cost.latencies(runs, protocol) if latency and runs else {}
    return {
        member.name: {
            "cost": member.run and cost.of_view(member.run, protocol),
            "latency_ms": milliseconds.get(member.name),
        }
        for member in every.values()
    }


def drawn(
    out: pathlib.Path, comparison: Comparison, protocol: Protocol
) -> dict[str, str]:
    """Draws what there is to draw; returns the files by what they show."""
    files, notes = pictures.over_cost(
        out, comparison.runs, comparison.groups, views=protocol.views
    )
    first = comparison.first
    for name, found in comparison.classes.items():
        file = pictures.of_classes(out, found, first.member.name, name)
        files[f"classes of {name} against {first.member.name}"] = str(file)
    file, more = curves.draw(out, comparison.every_row)
    if file is not None:
        files["curves of sub-networks"] = str(file)
    comparison.notes.extend(notes + more)
    return files


def markdown_of(comparison: Comparison, files: dict[str, str]) -> str:
    """Writes the tables, notes and files."""
    origin, first = comparison.first.member.origin, comparison.first.member.name
    one_split = len({row.member.origin.split for row in comparison.every_row}) == 1
    split = f"{origin.split}, " if one_split else ""
    lines = [f"{origin.dataset}, {split}protocol {origin.protocol}", ""]
    lines += markdown.run_table(comparison.every_row)
    if comparison.groups:
        lines += ["", *markdown.group_table(comparison.groups)]
    for name, found in comparison.classes.items():
        lines += ["", f"Classes, from {first} to {name}:", ""]
        lines += markdown.class_table(found, first, name)
    for items in (comparison.notes, [f"{n}: {file}" for n, file in files.items()]):
        lines += ["", *(f"- {item}" for item in items)] if items else []
    return "\n".join(lines) + "\n"


def to_json(comparison: Comparison, files: dict[str, str]) -> dict:
    """Returns all figures as JSON types."""
    origin = comparison.first.member.origin
    return {
        **{name: getattr(origin, name) for name in pairing.SAME_BUT_SPLIT},
        "runs": [row.to_json() for row in comparison.every_row],
        "groups": [group.to_json() for group in comparison.groups],
        "classes": {
            name: [gain._asdict() | {"net": gain.net} for gain in found]
            for name, found in comparison.classes.items()
        },
        "notes": comparison.notes,
        "pictures": files,
    }
