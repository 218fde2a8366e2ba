"""Compares a Matroska or WebM file with the length that its head states.

Elements are an identifier, a length and so many bytes (RFC 8794, section 4). A file is a
small element, EBML, and a large one, the segment.
"""

from io import BufferedIOBase

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# More than the first element and the length of the second take.
HEAD_BYTES = 4096


def missing_bytes(file: BufferedIOBase, size_bytes: int) -> int | None:
    """Returns the bytes a file lacks; None if it does not say how long it is."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    ebml = _length(head, 0, EBML)
    if ebml is None:
        return None
    at, length = ebml
    segment = _length(head, at + length, SEGMENT)
    if segment is None:
        return None
    at, length = segment
    return max(0, at + length - size_bytes)


def _length(head: bytes, at: int, identifier: bytes) -> tuple[int, int] | None:
    """Returns the place and length of an element's content; None if it is another."""
    start = at + len(identifier)
    if head[at:start] != identifier or start >= len(head) or not head[start]:
        return None
    # The number of leading zero bits says how many bytes follow the first.
    more = 8 - head[start].bit_length()
    digits = head[start : start + 1 + more]
    unknown = (1 << 7 * (more + 1)) - 1
    value = int.from_bytes(digits) & unknown
    if len(digits) <= more or value == unknown:
        return None
    return start + 1 + more, value
