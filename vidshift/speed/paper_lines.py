"""Rows of a paper's table of latency as Markdown; imports no JAX."""

from collections.abc import Iterable, Iterator

HEADING = ("row", "network", "measure", "paper", "here", "quartiles", "turns")
HEADING += ("time over that of", "paper", "here", "quartiles")


def lines(rows: Iterable[dict]) -> Iterator[str]:
    """Yields the lines of a table, as the rows come."""
    yield f"| {' | '.join(HEADING)} |"
    yield "|" + "---|" * len(HEADING)
    for row in rows:
        yield f"| {' | '.join(cells(row))} |"


def cells(row: dict) -> tuple[str, ...]:
    """Returns a row's cells, milliseconds of a latency and videos a second otherwise."""
    start = (row["label"], f"`{row['name']}`", row["measure"], printed(row))
    over = (row["base"], row["published_times_base"])
    if row["error"]:
        return (*start, row["error"], "-", "-", *over, "-", "-")
    low, high = row["seconds_quartiles"]
    if row["measure"] == "latency":
        figures = (
            f"{1e3 * row['seconds']:.2f} ms",
            f"{1e3 * low:.2f} to {1e3 * high:.2f}",
        )
    else:
        speeds = (row["batch"] / seconds for seconds in (high, low))
        figures = (
            f"{row['clips_per_second']:.1f} V/s",
            " to ".join(f"{speed:.1f}" for speed in speeds),
        )
    ratio = ("-", "-")
    if row["times_base"] is not None:
        low, high = row["times_base_quartiles"]
        ratio = f"{row['times_base']:.3f}", f"{low:.3f} to {high:.3f}"
    return (*start, *figures, str(row["blocks"]), *over, *ratio)


def printed(row: dict) -> str:
    """Returns the paper's figure with its unit."""
    if row["published"] is None:
        return "the ratio alone"
    try:
        float(row["published"])
    except ValueError:  # words
        return row["published"]
    return f"{row['published']} {'ms' if row['measure'] == 'latency' else 'V/s'}"
