"""The papers' tables of latency, as `vidshift speed --table` has them."""

from collections.abc import Iterator

from vidshift.measure import networks
from vidshift.measure.parts import Settings
from vidshift.speed import paper_rows
from vidshift.speed.paper_tables import TABLES

# From the fewest programs to compile to the most.
ORDER = ("rubiksnet-a2", "tsm-6", "tsm-8", "gsf-12", "tsm-fig-2a", "tsm-5", "vsn-6")
SMALL_ORDER = ("rubiksnet-a2",)
SMALL_SIDE = 8
SECONDS = 0.7  # of timing a row


def tables(settings: Settings) -> list[list[list[paper_rows.Job]]]:
    """Returns the groups of jobs of each table, in the papers' own types of number."""
    if settings.small:
        return [paper_rows.jobs(TABLES[n], side=SMALL_SIDE) for n in SMALL_ORDER]
    return [paper_rows.jobs(TABLES[name]) for name in ORDER]


def keys(settings: Settings) -> list[str]:
    return [job.key for table in tables(settings) for group in table for job in group]


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    for table in tables(settings):
        groups = [g for g in table if any(job.key in missing for job in g)]
        left = {job.key: job for group in groups for job in group}
        if not left:
            continue
        try:
            for row in paper_rows.rows(groups, SECONDS):
                del left[row["key"]]
                yield row
        except Exception as error:  # noqa: BLE001  one table's fault is not another's
            for job in left.values():
                yield job.empty_row() | networks.error_of(error)
