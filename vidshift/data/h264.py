"""Which packets of an H.264 stream must be decoded to get certain frames.

Works on the first byte of each NAL unit (ITU-T H.264, section 7.3.1): the picture
data itself is never parsed.
"""

from collections.abc import Sequence

# nal_unit_type (H.264, table 7-1).
SLICE, SLICE_IDR = 1, 5
START_CODE = b"\x00\x00\x01"


def nal_headers(packet: bytes, length_size: int) -> list[int]:
    """Returns the first byte of each NAL unit of one packet.

    Args:
      packet: one access unit as the container stores it.
      length_size: bytes of the length before each unit (mp4, mkv: 1, 2 or 4), or 0
        if start codes separate them (AVI, MPEG-TS).
    """
    headers = []
    if length_size:
        at = 0
        while at + length_size < len(packet):
            length = int.from_bytes(packet[at : at + length_size], "big")
            headers.append(packet[at + length_size])
            at += length_size + length
        return headers
    at = packet.find(START_CODE)
    while 0 <= at < len(packet) - len(START_CODE):
        headers.append(packet[at + len(START_CODE)])
        at = packet.find(START_CODE, at + len(START_CODE))
    return headers


def length_size(extradata: bytes | None) -> int:
    """Returns the `length_size` of `nal_headers` for a stream's extradata.

    An avcC box (ISO/IEC 14496-15, 5.2.4.1) begins with its version, 1, and holds the
    size less one in the last two bits of byte 4; anything else means start codes.
    """
    if extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def needed_packets(
    packets: Sequence[bytes], length_size: int, wanted: set[int]
) -> list[list[int]] | None:
    """Returns the packets that must be decoded to get the wanted ones, bit-exactly.

    A run starts at an IDR picture, the only kind of keyframe that no later picture may
    look behind (H.264, 7.4.1.2.4; the I picture of an open GOP is not one), ends at
    the last wanted packet before the next IDR picture, and leaves out pictures whose
    slices all have `nal_ref_idc` 0 unless wanted: no other picture is predicted from
    those, and they do not count in `frame_num`.

    Args:
      packets: the stream's packets in decoding order.
      length_size: see `nal_headers`.
      wanted: positions in `packets`.

    Returns:
      Runs of positions, each to be decoded from a fresh decoder, or None if the stream
      does not begin with an IDR picture (then nothing is known to be safe to skip).
    """
    runs: list[list[int]] = []
    run: list[int] = []
    for position, packet in enumerate(packets):
        slices = [
            header
            for header in nal_headers(packet, length_size)
            if SLICE <= header & 0x1F <= SLICE_IDR
        ]
        if any(header & 0x1F == SLICE_IDR for header in slices):
            runs.append(run)
            run = []
        elif position == 0:
            return None
        # Two fields may share a packet and only one be a reference: any() keeps both.
        if position in wanted or any(header & 0x60 for header in slices):
            run.append(position)
    runs.append(run)
    return [cut for run in runs if (cut := _until_last(run, wanted))]


def _until_last(run: list[int], wanted: set[int]) -> list[int]:
    while run and run[-1] not in wanted:
        run.pop()
    return run
