"""Compares an AVI file with the lengths that its chunks state.

A RIFF file is one chunk, of more than 1 GB several: a name of 4 bytes, a length of 4, and
so many bytes, to which an odd number adds one.
"""

from io import BufferedIOBase

RIFF, HEADER_BYTES = b"RIFF", 8
# Lengths left by a writer that could not go back to write one.
UNKNOWN = frozenset({0, 0xFFFFFFFF})


def missing_bytes(file: BufferedIOBase, size_bytes: int) -> int | None:
    """Returns the bytes a file lacks; None if it does not say how long it is."""
    at = 0
    while True:
        file.seek(at)
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[:4] != RIFF:
            return 0 if at else None
        length = int.from_bytes(header[4:], "little")
        if length in UNKNOWN:
            return None
        at += HEADER_BYTES + length + length % 2
        if at > size_bytes:
            # Some writers leave out the byte that makes a length even.
            return at - size_bytes - length % 2 or 0
