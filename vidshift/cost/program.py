"""Parameters and multiplications as a table: `vidshift cost`."""

import argparse
import json

from vidshift.cost import block_costs
from vidshift.cost.count import UNLESS_SAID, rows
from vidshift.cost.published import TOGETHER


def main(options: argparse.Namespace) -> int:
    clips = {k: getattr(options, k) for k in UNLESS_SAID}
    if options.blocks:
        _check_blocks_alone(options.names, clips)
        found, heading, line = block_costs.rows(), BLOCK_HEADING, _block_line
    else:
        found, heading, line = rows(options.names, **clips), HEADING, _line
    if not options.json:
        print(heading)
    met = []
    for row in found:
        print(json.dumps(row) if options.json else line(row), flush=True)
        if not options.blocks and is_printed(
            row["source"], row["published_parameters"], row["published_macs"]
        ):
            met.append(row["agrees"])
    if len(met) > 1 and not options.json:
        print(f"\n{summary(sum(met), len(met))}")
    return 0


def _check_blocks_alone(names: list[str], clips: dict) -> None:
    """Refuses what would change the blocks of the paper."""
    given = [*names, *(f"{k}={v}" for k, v in clips.items() if v is not None)]
    if given:
        raise ValueError(
            "--blocks counts the blocks of RubiksNet's supplement at its own size, and "
            f"takes no network and no size, got {', '.join(given)}"
        )


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

BLOCK_HEADING = (
    "| block | of | total | convolutions | batch norms | shift | saved of 3-D | x "
    "RubiksShift | printed |\n|---|---|---|---|---|---|---|---|---|"
)


def _block_line(row: dict) -> str:
    unit, letter, digits = (1e9, " G", 3) if row["measure"] == "macs" else (1, "", 0)
    shares = (
        f"{row[part] / unit:,.{digits}f}{letter} ({row['shares'][part]:.1%})"
        for part in block_costs.PARTS
    )
    printed = row["published_times_rubiks"]
    cells = (
        row["block"],
        "MACs" if row["measure"] == "macs" else "parameters",
        f"{row['total'] / unit:,.{digits}f}{letter}",
        *shares,
        f"{row['saved']:.1%}",
        f"{row['times_rubiks']:.2f}",
        f"~{printed}" if printed else "1",
    )
    return f"| {' | '.join(cells)} |"


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
