"""A paper's table of latency with our times beside it: `vidshift speed --table`."""

import argparse
import json

import jax

from vidshift.command_line.progress import to_stderr
from vidshift.nets.zoo import pick
from vidshift.speed import paper_lines, paper_rows
from vidshift.speed.paper_tables import TABLES


def main(options: argparse.Namespace) -> int:
    """Times a table's rows and prints them.

    Raises:
      ValueError: there is no such table, or an option that no table takes.
    """
    pick("table", options.table, TABLES)
    refused = {"--num-frames": options.num_frames, "--train-batch": options.train_batch}
    refused |= {"--no-train": options.no_train, "NAME": options.names or None}
    refused |= {"--dtype both": True if options.dtype == "both" else None}
    given = [flag for flag, value in refused.items() if value is not None]
    if given:
        raise ValueError(f"--table has networks and frames of its own: no {given[0]}")
    table = TABLES[options.table]
    sizes = {"side": options.side, "batch": options.batch, "dtype": options.dtype}
    groups = paper_rows.jobs(table, **sizes)
    if options.file:
        groups = paper_rows.with_file(groups, options.file)
    device = jax.devices()[0]
    here = {"device": device.device_kind, "platform": device.platform}
    here["jax"] = jax.__version__
    rows = paper_rows.rows(groups, options.seconds, to_stderr)
    if options.json:
        for row in rows:
            print(json.dumps(row | here), flush=True)
        return 0
    print(f"{table.title}\n")
    print(f"Paper: {table.device}; {table.protocol}.")
    side, dtypes = groups[0][0].side, {job.dtype: None for job in groups[0]}
    batch = {group[0].measure: group[0].batch for group in groups}
    batches = ", ".join(f"{size} ({measure})" for measure, size in batch.items())
    print(
        f"Here: {device.device_kind} ({device.platform}), jax {jax.__version__}, "
        f"{side} x {side}, {' and '.join(dtypes)}, batch {batches}; medians of turns, "
        f"about {options.seconds:g} s a row."
    )
    for remark in table.remarks:
        print(remark)
    print()
    for line in paper_lines.lines(rows):
        print(line, flush=True)
    for text in table.absent:
        print(f"\nNot timed: {text}.")
    return 0
