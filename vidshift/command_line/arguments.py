"""Types of command-line arguments that several commands take."""

import argparse
import math

# Help of `--map-classes`, of commands that join a run with data.
MAP_CLASSES = "take the data's classes by name where the run has them in another order"


def make_parser(prog: str, description: str, **more) -> argparse.ArgumentParser:
    """Returns a parser whose help is a command's docstring as it is written."""
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **more,
    )


def count(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, got {text}")
    return number


def positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number < math.inf or 1 / number == math.inf:
        raise argparse.ArgumentTypeError(f"more than 0, got {text}")
    return number


# What argparse calls text that is none.
count.__name__ = "whole number"
positive.__name__ = "number"
