"""Checkpoints on disk: found, read, written and compared with their sums."""

from vidshift.checkpoints.files import (
    DIRECTORY,
    CheckpointError,
    find,
    read_description,
    read_weights,
    write_weights,
)

__all__ = [
    "DIRECTORY",
    "CheckpointError",
    "find",
    "read_description",
    "read_weights",
    "write_weights",
]
