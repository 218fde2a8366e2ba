"""Parameters and multiplications as a table: `vidshift cost`."""

import argparse
import json

from vidshift.cost.count import UNLESS_SAID, rows
from vidshift.cost.published import TOGETHER


def main(options: argparse.Namespace) -> int:
    clips = {k: getattr(options, k) for k in UNLESS_SAID}
    if not options.json:
        print(HEADING)
    for row in rows(options.names, **clips):
        print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


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
