"""Parameters and multiplications as a table: `vidshift cost`."""

import argparse
import json

from vidshift.cost.count import UNLESS_SAID, rows
from vidshift.cost.published import TOGETHER


def main(options: argparse.Namespace) -> int:
    clips = {k: getattr(options, k) for k in UNLESS_SAID}
    if not options.json:
        print(HEADING)
    met = []
    for row in rows(options.names, **clips):
        print(json.dumps(row) if options.json else _line(row), flush=True)
        if is_printed(
            row["source"], row["published_parameters"], row["published_macs"]
        ):
            met.append(row["agrees"])
    if len(met) > 1 and not options.json:
        print(f"\n{summary(sum(met), len(met))}")
    return 0


def is_printed(source: str, parameters: object, macs: object) -> bool:
    """Returns whether a row is of a paper's table, with a figure printed there."""
    return "Table" in source and bool(parameters or macs)


def summary(met: int, printed: int) -> str:
    """Says how many rows agree with what is printed.

    Args:
      met: rows that agree.
      printed: rows of the papers' tables that print parameters or MACs.
    """
    return (
        f"{met} of the {printed} rows of the papers' tables that print parameters or "
        f"MACs are met; {printed - met} differ."
    )


HEADING = (
    "| network | classes | clip | parameters | printed | MACs | as the source counts "
    "| printed | source |\n|---|---|---|---|---|---|---|---|---|"
)


def _line(row: dict) -> str:
    as_source = ""
    if row["counts"] != "products":
        as_source = f"{row['macs_as_source'] / 1e9:.2f} G"
    said = [row["source"], "" if row["agrees"] else "**differs**", row["note"]]
    cells = (
        f"`{row['name']}`",
        f"{row['classes']}",
        _clip(row),
        f"{row['parameters']:,}",
        _printed(row["published_parameters"], 1e6, "M"),
        f"{row['macs'] / 1e9:.2f} G",
        as_source,
        _printed(row["published_macs"], 1e9, "G"),
        "; ".join(filter(None, said)),
    )
    return f"| {' | '.join(cells)} |"


def _clip(row: dict) -> str:
    """Frames x side², and the channels of a frame that has not three."""
    sizes = [row["frames"], f"{row['side']}²"]
    if row["in_channels"] != 3:
        sizes.append(row["in_channels"])
    return " x ".join(
        f"({TOGETHER.join(map(str, size))})" if isinstance(size, tuple) else f"{size}"
        for size in sizes
    )


def _printed(number: int | None, unit: float, letter: str) -> str:
    return "" if number is None else f"{number / unit:g} {letter}"
