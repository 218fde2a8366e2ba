"""Which packets of a VP8 or VP9 stream are shown, by the first bits of their frames.

Frames are shown in the order they are decoded; some are only predicted from (RFC 6386,
section 9.1; VP9's bitstream specification, 6.2 and annex B).
"""


def shown(packet: bytes, codec: str) -> tuple[int, bool]:
    """Returns how many frames of a packet are shown, and whether it begins with a keyframe.

    Args:
      packet: not empty.
      codec: "vp8" or "vp9".
    """
    if codec == "vp8":
        return packet[0] >> 4 & 1, not packet[0] & 1
    number, is_keyframe = 0, False
    for place, (begin, end) in enumerate(_frames(packet)):
        if begin == end:
            continue
        first = packet[begin]
        profile = (first >> 5 & 1) + (first >> 3 & 2)
        # Bits after those of the profile, of which number 3 has one more.
        bits = first << 1 if profile == 3 else first
        is_repeated = bits >> 3 & 1
        if place == 0:
            is_keyframe = not is_repeated and not bits >> 2 & 1
        number += is_repeated or bits >> 1 & 1
    return number, is_keyframe


def _frames(packet: bytes) -> list[tuple[int, int]]:
    """Returns where the frames of a packet begin and end; a superframe has several."""
    marker = packet[-1]
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = len(packet) - 2 - count * width
    if marker & 0xE0 != 0xC0 or index < 0 or packet[index] != marker:
        return [(0, len(packet))]
    frames, begin = [], 0
    for place in range(count):
        at = index + 1 + place * width
        end = begin + int.from_bytes(packet[at : at + width], "little")
        frames.append((begin, min(end, index)))
        begin = min(end, index)
    return frames
