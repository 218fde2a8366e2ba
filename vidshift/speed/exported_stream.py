"""A file of `vidshift export --kind stream`, timed a frame at a time in its own runtime."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vidshift import export
from vidshift.speed.paper_tables import PaperRow


class ExportedStream(NamedTuple):
    """An exported network of one stream, as a program to compile.

    `flops` is 0: the file does not say them.
    """

    network: "export.Exported"
    flops: int = 0

    @property
    def side(self) -> int:
        return self.network.description["inputs"][0]["shape"][1]

    def row(self, path: pathlib.Path) -> PaperRow:
        """Returns the row of a table, which has none of the paper's for a file."""
        nothing = "not printed"
        return PaperRow(
            f"{path.name}, {self.network.description['format']} on the CPU",
            self.network.description["network"],
            {"latency": nothing},
            printed_ratio=nothing,
        )

    def compile(self) -> tuple[Callable[[], None], dict]:
        """Returns a step of the stream, each on what the last one kept."""
        like = self.network.description["inputs"][0]
        frame = np.random.default_rng(0).integers(0, 255, (1, *like["shape"][1:]))
        frame = frame.astype(like["dtype"])
        cache = self.network.init(1)

        def step() -> None:
            nonlocal cache
            _, cache = self.network(cache, frame)

        return step, {}


def open_stream(path: pathlib.Path) -> ExportedStream:
    """Opens an exported stream.

    Raises:
      FileNotFoundError: it is not there, or its JSON is not.
      ValueError: it takes clips, or another number of streams than one.
      ImportError: the format's runtime is not installed.
    """
    network = export.load(path)
    kind = network.description["kind"]
    if kind != "stream":
        raise ValueError(
            f"--file={path} takes clips; `vidshift export --kind stream` writes one that "
            "takes frames"
        )
    streams = network.description["inputs"][0]["shape"][0]
    if streams not in ("B", 1):
        raise ValueError(f"--file={path} takes {streams} streams at once, not one")
    return ExportedStream(network)
