"""Writes what was measured as Markdown; a pure function of `measured.json`."""

from collections.abc import Iterable

from vidshift.measure.parts import PARTS
from vidshift.speed import paper_lines

VERSIONS = ("jax", "jaxlib", "flax", "optax", "jax-triton", "triton", "python", "torch")


def render(measured: dict) -> str:
    """Returns the page of a measurement.

    Args:
      measured: `about` the device and the versions, and `parts` by name with their
        `rows`, `jobs` and `note`.
    """
    about, parts = measured["about"], measured["parts"]
    lines = [f"# Measured on {about['device']}", "", *_about(about)]
    for name, part in PARTS.items():
        if name in parts:
            lines += ["", f"## {part.title}"]
            for text in (
                BODIES[name](parts[name]["rows"], measured),
                _remarks(parts[name]),
            ):
                lines += ["", *text] if text else []
    return "\n".join(lines) + "\n"


def outcome(name: str, part: dict) -> str:
    """Returns a line about a part that has ended."""
    line = f"{name}: {len(_measured(part['rows']))} rows"
    missing = missing_rows(part)
    line += f", {missing} missing" if missing else ""
    wrong = sum(bool(row.get("wrong")) for row in part["rows"])
    failed = sum(bool(row.get("failed")) for row in part["rows"])
    line += f", {failed} failed" if failed else ""
    line += f", {wrong} WRONG" if wrong else ""
    return line + (f" ({part['note']})" if part["note"] else "")


def missing_rows(part: dict) -> int:
    """Returns how many rows the same command would still measure."""
    rows = [row for row in part["rows"] if not row.get("failed")]
    return max(0, (part["jobs"] or 0) - len(rows))


def unfinished(measured: dict) -> list[str]:
    """Returns the parts that have not been measured, or not to their end."""
    return [
        name
        for name in PARTS
        if (part := measured["parts"].get(name)) is None
        or missing_rows(part)
        or (part["jobs"] is None and name != "pytorch")  # which has to be installed
    ]


def wrong(measured: dict) -> list[str]:
    """Returns a line for each implementation that is wrong, or does not run."""
    lines = []
    for row in measured["parts"].get("check", {"rows": ()})["rows"]:
        of = f"{row['op']} {row['implementation']} at {row['shape']} ({row['dtype']})"
        if row.get("failed"):
            lines.append(f"{of}: {row['failed']}")
        elif row.get("wrong"):
            errors = [f"{n} {_error(row['errors'][n])}" for n in row["wrong"]]
            lines.append(f"{of}: {', '.join(errors)}")
    return lines


def _about(about: dict) -> list[str]:
    versions = ", ".join(f"{n} {about[n]}" for n in VERSIONS if about.get(n))
    driver = f"driver {about['driver']}, " if about.get("driver") else ""
    commit = f" ({about['commit']})" if about.get("commit") else ""
    first = f"{about['date']}, by `{about['command']}`. vidshift {about['vidshift']}"
    lines = [f"{first}{commit}; {driver}{versions}; {about['cores']} cores."]
    if about["small"]:
        lines += [
            "",
            "Small networks and shapes: a trial of the command, not a result.",
        ]
    return lines


def _remarks(part: dict) -> list[str]:
    """Returns sentences about what a part did not measure."""
    said = []
    for row in part["rows"]:
        reason = row.get("not_here") or row.get("failed") or row.get("error")
        if isinstance(reason, str):
            said.append((reason, row))
    by_reason = {}
    for reason, row in said:
        name = row.get("implementation") or row["key"]
        by_reason.setdefault(reason, {})[name] = None
    lines = [
        f"Not measured, {', '.join(f'`{name}`' for name in names)}: "
        f"{reason.removeprefix(f'{next(iter(names))}: ')}."
        for reason, names in by_reason.items()
    ]
    missing = missing_rows(part)
    if part["note"] or missing:
        note = f"The part was {part['note']}. " if part["note"] else ""
        lines.append(note + (f"{missing} rows are missing." if missing else ""))
    return [line.strip() for line in lines]


def _measured(rows: Iterable[dict]) -> list[dict]:
    """Returns the rows with figures."""
    why_not = ("not_here", "failed", "error")
    return [r for r in rows if not any(isinstance(r.get(n), str) for n in why_not)]


def _check(rows: list[dict], measured: dict) -> list[str]:
    rows = _measured(rows)
    groups = {}
    for row in rows:
        of = (row["op"], row["implementation"], row["dtype"])
        groups.setdefault(of, []).append(row)
    table = []
    for (op, implementation, dtype), group in groups.items():
        error, result, worst = max(
            (float("inf") if e is None else e, name, row["shape"])
            for row in group
            for name, e in row["errors"].items()
        )
        bad = sum(bool(row["wrong"]) for row in group)
        table.append(
            (
                f"`{op}`",
                implementation,
                dtype,
                len(group),
                _error(error),
                f"{result} at `{worst}`",
                f"**{bad} wrong**" if bad else "yes",
            )
        )
    text = (
        "The norm of the error beside `xla` in float32 with all bits, over the norm of "
    )
    text += (
        "the result: values and gradients. *None named* is what runs where a caller "
    )
    text += "names no implementation."
    heading = "operation|implementation|dtype|cases|largest error|of|right"
    lines = [text, "", *_table(heading, table, left=3)] if table else []
    found = wrong(measured)
    if found:
        lines += ["", "**Wrong:**", "", *(f"- {line}" for line in found)]
    return lines


def _networks(rows: list[dict], measured: dict) -> list[str]:
    return _network_table(rows, measured, beside_tsn=True)


def _more(rows: list[dict], measured: dict) -> list[str]:
    return _network_table(rows, measured, beside_tsn=False)


def _network_table(rows, measured: dict, *, beside_tsn: bool) -> list[str]:
    rows = _measured(rows)
    peak = (measured["about"].get("peak_flops") or {}).get(measured["about"]["dtype"])
    beside_tsn = beside_tsn and all(row["times_tsn"] for row in rows)
    heading = "network|measure|clips|frames|ms|quartiles|clips/s|MB"
    heading += "|x TSN" if beside_tsn else ""
    heading += "|of the peak" if peak else ""
    table = []
    for row in rows:
        line = [f"`{row['name']}`", row["measure"], row["batch"], row["frames"]]
        line += _times(row) + [f"{row['clips_per_second']:.1f}"]
        line += [f"{row['program_bytes'] / 1e6:.0f}"]
        line += [f"{row['times_tsn']:.3f}"] if beside_tsn else []
        line += [f"{row['flops'] / row['seconds'] / peak:.1%}"] if peak else []
        table.append(line)
    text = f"{measured['about']['dtype']}, {_sides(rows)}; columns as in "
    text += "`vidshift speed --help`."
    if peak:
        text += f" The peak is {peak / 1e12:.0f} TFLOP/s, of which products and "
        text += "convolutions count."
    return [text, "", *_table(heading, table, left=2)] if rows else []


def _sides(rows: list[dict]) -> str:
    sides = sorted({row["side"] for row in rows})
    return "frames of " + ", ".join(f"{side} x {side}" for side in sides)


def _times(row: dict) -> list[str]:
    low, high = (1e3 * s for s in row["seconds_quartiles"])
    return [f"{1e3 * row['seconds']:.3f}", f"{low:.3f} to {high:.3f}"]


def _bench(rows: list[dict], measured: dict) -> list[str]:
    table = []
    for row in _measured(rows):
        low, high = (1e6 * s for s in row["seconds_quartiles"])
        table.append(
            (
                f"`{row['op']}`",
                f"`{row['shape']}`",
                row["direction"],
                row["implementation"],
                f"{1e6 * row['seconds']:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{row['of_copy']:.2f}",
                f"{row['over_xla']:.2f}",
            )
        )
    heading = "operation|shape|direction|implementation|µs|quartiles|copy|xla"
    text = (
        f"{measured['about']['dtype']}; *copy* and *xla*: their time over this one's "
    )
    text += "(`vidshift bench --help`)."
    return [text, "", *_table(heading, table, left=4)] if table else []


def _profile(rows: list[dict], measured: dict) -> list[str]:
    del measured
    lines = []
    for row in _measured(rows):
        steps, busy = row["steps"], row["operations"]["seconds"]

        def ms(seconds: float, steps=steps) -> str:
            return f"{1e3 * seconds / steps:.3f}"

        def line(entry: dict, steps=steps, busy=busy) -> tuple:
            return (
                f"{1e3 * entry['seconds'] / steps:.3f}",
                f"{entry['seconds'] / busy:.1%}",
                f"{entry['count'] / steps:.0f}",
                entry["name"]
                if entry["name"] == entry["kind"]
                else _code(entry["name"]),
            )

        gaps, ours = row["gaps"], row["ours"]
        text = f"`{row['name']}`, {row['measure']} of {row['batch']} clips: "
        text += f"{ms(busy)} ms of operations a call "
        text += (
            f"({row['operations']['operations'] / steps:.0f}), {ms(gaps['seconds'])} "
        )
        text += f"ms of gaps ({gaps['operations'] / steps:.0f}); our kernels "
        text += f"{ms(ours['seconds'])} ms ({ours['seconds'] / busy:.1%})."
        lines += ["", text] if lines else [text]
        for title in ("kinds", "largest"):
            heading = "kind" if title == "kinds" else "operation"
            table = [line(entry) for entry in row[title]]
            lines += ["", *_table(f"ms|share|times|{heading}", table, left=0, text={3})]
    return lines


def _code(name: str) -> str:
    return f"`{name[:90]}`".replace("|", "/")


def _pytorch(rows: list[dict], measured: dict) -> list[str]:
    rows = _measured(rows)
    ours = {
        (row["name"], row["measure"], row["batch"], row["dtype"], row["side"]): row
        for name in ("networks", "more")
        for row in _measured(measured["parts"].get(name, {"rows": ()})["rows"])
    }

    def beside(row: dict) -> dict | None:
        name = f"{row['backbone']}/{row['temporal'].removesuffix('-cat')}"
        of = (name, row["measure"], row["batch"], row["dtype"], row["side"])
        return ours.get(of)

    compared = bool(rows) and all(beside(row) for row in rows)
    table = []
    for row in rows:
        line = [f"`{row['backbone']}/{row['temporal']}`", row["how"], row["measure"]]
        line += [row["batch"], *_times(row), f"{row['clips_per_second']:.1f}"]
        if compared:
            line.append(f"{row['seconds'] / beside(row)['seconds']:.2f}")
        table.append(line)
    heading = "network|how|measure|clips|ms|quartiles|clips/s"
    heading += "|x vidshift" if compared else ""
    versions = ", ".join(
        dict.fromkeys(
            f"torch {r['torch']}, torchvision {r['torchvision']}, "
            f"CUDA {r['cuda']}, cuDNN {r['cudnn']}"
            if r["cuda"]
            else f"torch {r['torch']}, torchvision {r['torchvision']}"
            for r in rows
        )
    )
    text = f"{versions}; {measured['about']['dtype']}. *tsm* is the official code's shift, "
    text += "*tsm-cat* concatenates the same features channels last "
    text += "(`vidshift/measure/pytorch.py --help`)."
    return [text, "", *_table(heading, table, left=3)] if rows else []


def _papers(rows: list[dict], measured: dict) -> list[str]:
    del measured
    tables = {}
    for row in _measured(rows):
        tables.setdefault(row["table"], []).append(row)
    lines = []
    for title, own in tables.items():
        dtypes = " and ".join(dict.fromkeys(row["dtype"] for row in own))
        text = f"{title}; paper: {own[0]['published_device']}; here: {dtypes}, {_sides(own)}."
        lines += ["", text] if lines else [text]
        lines += ["", *paper_lines.lines(own)]
    return lines


BODIES = {
    "check": _check,
    "networks": _networks,
    "bench": _bench,
    "profile": _profile,
    "more": _more,
    "pytorch": _pytorch,
    "papers": _papers,
}


def _error(error: float | None) -> str:
    return "nan" if error is None or error == float("inf") else f"{error:.1e}"


def _table(heading: str, rows, *, left: int, text: frozenset | set = frozenset()):
    """Returns a table; the first `left` columns, and those of `text`, are words."""
    names = heading.split("|")
    rule = ["---" if i < left or i in text else "---:" for i in range(len(names))]
    lines = [names, rule, *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]
