"""Trains a video network: a door to `vidshift.train`, with `configs/tiny.py` as default."""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import pathlib

from vidshift.train import define_flags, main
from vidshift.training import command

TINY = pathlib.Path(__file__).parent / "configs" / "tiny.py"

if __name__ == "__main__":
    command.run(main, define_flags, config=str(TINY))
