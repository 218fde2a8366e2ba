"""Reads the pictures of an H.264 stream: which are frames, and in which order they show.

Reads the first byte of each NAL unit, the parameter sets and the beginning of slice headers
(ITU-T H.264, sections 7.3.1, 7.3.2.1 and 7.3.3); the picture data itself is never parsed.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import av

# nal_unit_type (H.264, table 7-1).
SLICE, SLICE_IDR, PARAMETERS = 1, 5, 7
START_CODE = b"\x00\x00\x01"
UINT32 = struct.Struct(">I")
# Bytes of a slice that hold what is read of its header.
HEADER_BYTES = 32
# profile_idc whose parameter sets say how colour is stored (7.3.2.1.1).
HIGH_PROFILES = frozenset(
    {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
)


class Parameters(NamedTuple):
    """Fields of a sequence parameter set that slice headers depend on."""

    frame_num_bits: int
    # How the order is stated: 0 by pic_order_cnt_lsb; 2: pictures are shown in decoding
    # order.
    order_type: int
    order_bits: int
    # Whether a picture may be a field.
    may_be_fields: bool
    separate_planes: bool


class Picture(NamedTuple):
    """The one picture of a packet."""

    is_idr: bool
    # Whether other pictures may be predicted from it.
    is_reference: bool
    # From its first slice's first byte on, HEADER_BYTES at most.
    head: bytes


class Header(NamedTuple):
    """Fields of a slice header."""

    frame_num: int
    is_field: bool
    is_bottom: bool
    order_lsb: int


def nal_units(packet: bytes | memoryview, length_size: int) -> list[tuple[int, int]]:
    """Returns where each NAL unit of a packet begins, and where it ends.

    Args:
      packet: one access unit as the container stores it.
      length_size: bytes of the length before each unit (mp4, mkv: 1, 2 or 4), or 0
        if start codes separate them (AVI, MPEG-TS).
    """
    size, units = len(packet), []
    if length_size:
        at = 0
        while at + length_size < size:
            if length_size == 4:
                (length,) = UINT32.unpack_from(packet, at)
            else:
                length = int.from_bytes(packet[at : at + length_size], "big")
            begin = at + length_size
            at = begin + length
            units.append((begin, min(size, at)))
        return units
    at = packet.find(START_CODE)
    while 0 <= at < size - len(START_CODE):
        begin = at + len(START_CODE)
        at = packet.find(START_CODE, begin)
        units.append((begin, size if at < 0 else at))
    return units


def length_size(extradata: bytes | None) -> int:
    """Returns the `length_size` of `nal_units` for a stream's extradata.

    An avcC box (ISO/IEC 14496-15, 5.2.4.1) begins with its version, 1, and holds the
    size less one in the last two bits of byte 4; anything else means start codes.
    """
    if _is_avcc(extradata):
        return (extradata[4] & 3) + 1
    return 0


class Reader:
    """Reads the packets of one stream, in decoding order.

    Args:
      extradata: of the stream; may hold its parameter sets.
    """

    def __init__(self, extradata: bytes | None):
        self._length_size = length_size(extradata)
        self._sets: set[bytes] = set()
        self._parameters: Parameters | None = None
        # Whether every parameter set is understood, and all say the same.
        self._is_clear = True
        extradata = extradata or b""
        if _is_avcc(extradata):
            at = 6
            for _ in range(extradata[5] & 0x1F):
                length = int.from_bytes(extradata[at : at + 2], "big")
                self._learn(extradata[at + 2 : at + 2 + length])
                at += 2 + length
        else:
            for begin, end in nal_units(extradata, 0):
                if begin < end and extradata[begin] & 0x1F == PARAMETERS:
                    self._learn(extradata[begin:end].rstrip(b"\x00"))

    @property
    def parameters(self) -> Parameters | None:
        """None where there are none, several that differ, or unknown ones."""
        return self._parameters if self._is_clear else None

    def picture(self, packet: av.Packet | bytes) -> Picture | None:
        """Returns a packet's picture; None if it has none or several."""
        # Where lengths are stated, little of a packet is read: it need not be copied.
        data = memoryview(packet) if self._length_size else bytes(packet)
        first, is_idr, is_reference = None, False, False
        for begin, end in nal_units(data, self._length_size):
            if begin >= end:
                continue
            header = data[begin]
            kind = header & 0x1F
            if SLICE <= kind <= SLICE_IDR:
                is_idr |= kind == SLICE_IDR
                is_reference |= header & 0x60 != 0
                # first_mb_in_slice is 0 where the next bit is 1.
                if begin + 1 < end and data[begin + 1] & 0x80:
                    if first is not None:
                        return None
                    first = bytes(data[begin : begin + HEADER_BYTES])
            elif kind == PARAMETERS:
                self._learn(bytes(data[begin:end]).rstrip(b"\x00"))
        return None if first is None else Picture(is_idr, is_reference, first)

    def header(self, picture: Picture) -> Header | None:
        """Reads a slice header; None if the parameters are not known."""
        known = self.parameters
        if known is None:
            return None
        try:
            bits = _Bits(_unescaped(picture.head[1:]))
            for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
                bits.golomb()
            if known.separate_planes:
                bits.read(2)
            frame_num = bits.read(known.frame_num_bits)
            is_field = bool(known.may_be_fields and bits.read(1))
            is_bottom = bool(is_field and bits.read(1))
            if picture.is_idr:
                bits.golomb()  # idr_pic_id
            lsb = 0 if known.order_type else bits.read(known.order_bits)
        except EOFError:
            return None
        return Header(frame_num, is_field, is_bottom, lsb)

    def orders(self, pictures: Sequence[Picture]) -> list[int] | None:
        """Returns numbers that grow as the frames of one period are shown (8.2.1).

        Args:
          pictures: from an IDR picture to before the next.

        Returns:
          None if the headers cannot tell, or a picture is a field.
        """
        known = self.parameters
        if known is None or known.order_type == 1:
            return None
        numbers, last_msb, last_lsb = [], 0, 0
        wrap = 1 << known.order_bits
        for place, picture in enumerate(pictures):
            header = self.header(picture)
            if header is None or header.is_field:
                return None
            if known.order_type == 2:
                numbers.append(place)
                continue
            lsb, msb = header.order_lsb, last_msb
            if picture.is_idr:
                msb = last_lsb = 0
            elif lsb < last_lsb and last_lsb - lsb >= wrap // 2:
                msb += wrap
            elif lsb > last_lsb and lsb - last_lsb > wrap // 2:
                msb -= wrap
            numbers.append(msb + lsb)
            if picture.is_reference:
                last_msb, last_lsb = msb, lsb
        return numbers

    def _learn(self, unit: bytes) -> None:
        if unit in self._sets:
            return
        self._sets.add(unit)
        parameters = _parameters(unit)
        if parameters is None or self._parameters not in (None, parameters):
            self._is_clear = False
        self._parameters = parameters


def needed_packets(
    pictures: Sequence[Picture], wanted: set[int]
) -> list[list[int]] | None:
    """Returns the packets that must be decoded to get the wanted ones, bit-exactly.

    A run starts at an IDR picture, the only kind of keyframe that no later picture may
    look behind (H.264, 7.4.1.2.4; the I picture of an open GOP is not one), ends at
    the last wanted packet before the next IDR picture, and leaves out pictures whose
    slices all have `nal_ref_idc` 0 unless wanted: no other picture is predicted from
    those, and they do not count in `frame_num`.

    Args:
      pictures: of the stream's packets, in decoding order.
      wanted: positions in `pictures`.

    Returns:
      Runs of positions, each to be decoded from a fresh decoder, or None if the stream
      does not begin with an IDR picture (then nothing is known to be safe to skip).
    """
    if not pictures or not pictures[0].is_idr:
        return None
    runs: list[list[int]] = []
    run: list[int] = []
    for position, picture in enumerate(pictures):
        if picture.is_idr:
            runs.append(run)
            run = []
        if picture.is_reference or position in wanted:
            run.append(position)
    runs.append(run)
    return [cut for run in runs if (cut := _until_last(run, wanted))]


def second_fields(headers: Iterable[Header | None]) -> list[bool]:
    """Says of each picture whether it completes the frame that the one before began."""
    are_second, before = [], None
    for header in headers:
        is_second = bool(
            header
            and before
            and header.is_field
            and header.is_bottom != before.is_bottom
            and header.frame_num == before.frame_num
        )
        are_second.append(is_second)
        before = header if header and header.is_field and not is_second else None
    return are_second


def _until_last(run: list[int], wanted: set[int]) -> list[int]:
    while run and run[-1] not in wanted:
        run.pop()
    return run


def _is_avcc(extradata: bytes | None) -> bool:
    return bool(extradata) and len(extradata) > 6 and extradata[0] == 1


def _parameters(unit: bytes) -> Parameters | None:
    """Reads a sequence parameter set; None if it ends early or is not understood."""
    try:
        bits = _Bits(_unescaped(unit[1:]))
        profile = bits.read(8)
        bits.read(16)
        bits.golomb()
        separate_planes = False
        if profile in HIGH_PROFILES:
            chroma = bits.golomb()
            separate_planes = chroma == 3 and bool(bits.read(1))
            bits.golomb(), bits.golomb(), bits.read(1)
            if bits.read(1):
                for number in range(12 if chroma == 3 else 8):
                    if bits.read(1):
                        _skip_scaling_list(bits, 16 if number < 6 else 64)
        frame_num_bits = bits.golomb() + 4
        order_type, order_bits = bits.golomb(), 0
        if order_type == 0:
            order_bits = bits.golomb() + 4
        elif order_type == 1:
            bits.read(1), bits.golomb(), bits.golomb()
            for _ in range(bits.golomb()):
                bits.golomb()
        bits.golomb(), bits.read(1), bits.golomb(), bits.golomb()
        may_be_fields = not bits.read(1)
    except EOFError:
        return None
    if frame_num_bits > 16 or order_bits > 16 or order_type > 2:
        return None
    return Parameters(
        frame_num_bits, order_type, order_bits, may_be_fields, separate_planes
    )


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + (code + 1) // 2 * (1 if code & 1 else -1)) % 256
        last = following or last


class _Bits:
    """Bits of some bytes, from the first on."""

    def __init__(self, data: bytes):
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """ue(v) of section 9.1; of se(v) its code number."""
        unread = self._value & ((1 << self._left) - 1)
        zeros = self._left - unread.bit_length()
        if not unread:
            raise EOFError
        self.read(zeros)
        return self.read(zeros + 1) - 1


def _unescaped(data: bytes) -> bytes:
    """Leaves out the bytes that keep a start code from arising (7.4.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")
