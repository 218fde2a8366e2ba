"""Types of command-line arguments that several commands take."""

import argparse


def count(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, got {text}")
    return number


count.__name__ = "whole number"  # what argparse calls text that is none
