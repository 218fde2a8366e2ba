"""Reads which pictures of an HEVC stream begin it anew (ITU-T H.265, section 7.4.2.2)."""

from vidshift.data.media import h264

# nal_unit_type (H.265, table 7-1): nothing after one is predicted from what was before it.
IDR = frozenset({19, 20})
# Bytes of hvcC (ISO/IEC 14496-15, 8.3.3.1) before its parameter sets.
HVCC_BYTES = 23


def length_size(extradata: bytes | None) -> int:
    """Returns the `length_size` of `h264.nal_units` for a stream's extradata."""
    if extradata and len(extradata) >= HVCC_BYTES and extradata[0] == 1:
        return (extradata[21] & 3) + 1
    return 0


def is_idr(packet: bytes, length_size: int) -> bool:
    """Returns whether a packet, as the container stores it, is an IDR picture."""
    return any(
        begin < end and packet[begin] >> 1 & 0x3F in IDR
        for begin, end in h264.nal_units(packet, length_size)
    )
