"""H.264 whose every frame is two field pictures (PAFF), as camcorders for AVCHD write it.

FFmpeg's encoders make none. The pictures are stored as they are (I_PCM macroblocks).
"""

import numpy as np

SIDE = 64


class _Bits:
    def __init__(self):
        self._bits: list[int] = []

    def put(self, count: int, value: int) -> None:
        self._bits += [value >> place & 1 for place in reversed(range(count))]

    def golomb(self, *values: int) -> None:
        for value in values:
            count = (value + 1).bit_length()
            self.put(2 * count - 1, value + 1)

    def align(self) -> None:
        self._bits += [0] * (-len(self._bits) % 8)

    def samples(self, samples: np.ndarray) -> None:
        self._bits += np.unpackbits(samples.ravel()).tolist()

    def unit(self, header: int) -> bytes:
        """A NAL unit after its start code."""
        self.put(1, 1)
        self.align()
        found, zeros = bytearray([header]), 0
        for byte in np.packbits(np.array(self._bits, np.uint8)).tolist():
            if zeros >= 2 and byte <= 3:
                found.append(3)
                zeros = 0
            found.append(byte)
            zeros = 0 if byte else zeros + 1
        return b"\0\0\0\1" + bytes(found)


DELIMITER = b"\0\0\0\1\x09\xf0"


def _parameter_sets() -> bytes:
    bits = _Bits()
    bits.put(24, 77 << 16 | 30)  # Main
    # Set 0, 4 bits of frame_num, order by 6 bits, 1 reference.
    bits.golomb(0, 0, 0, 2, 1)
    bits.put(1, 0)
    bits.golomb(SIDE // 16 - 1, SIDE // 32 - 1)
    bits.put(5, 0b00101)  # fields or frames, direct_8x8, no cropping, VUI
    bits.put(4, 0)
    bits.put(1, 1)
    bits.put(32, 1)
    bits.put(32, 50)  # fields a second
    bits.put(6, 0b100011)
    bits.golomb(0, 0, 10, 10, 0, 1)  # nothing is reordered
    sequence = bits.unit(0x67)
    bits = _Bits()
    bits.golomb(0, 0)
    bits.put(2, 0)
    bits.golomb(0, 0, 0)
    bits.put(3, 0)
    bits.golomb(0, 0, 0)
    bits.put(3, 0)
    return sequence + bits.unit(0x68)


def _picture(luma: np.ndarray, number: int, *, is_bottom: bool = False) -> bytes:
    bits = _Bits()
    bits.golomb(0, 7, 0)  # an I slice
    bits.put(4, 0)
    if len(luma) == SIDE:
        bits.put(1, 0)
    else:
        bits.put(2, 0b10 | is_bottom)
    if not is_bottom:  # an IDR picture
        bits.golomb(number % 2)
    bits.put(6, is_bottom)
    bits.put(1 if is_bottom else 2, 0)
    bits.golomb(0)
    grey = np.full(2 * 8 * 8, 128, np.uint8)
    for top in range(0, len(luma), 16):
        for left in range(0, SIDE, 16):
            bits.golomb(25)
            bits.align()
            bits.samples(luma[top : top + 16, left : left + 16])
            bits.samples(grey)
    return bits.unit(0x61 if is_bottom else 0x65)


def fields(picture: np.ndarray, number: int) -> tuple[bytes, bytes]:
    """The two access units of a frame.

    Args:
      picture: RGB in grey, uint8 [SIDE, SIDE, 3].
      number: of the frame.
    """
    luma = _luma(picture)
    top = _picture(luma[0::2], number)
    bottom = _picture(luma[1::2], number, is_bottom=True)
    return DELIMITER + _parameter_sets() + top, DELIMITER + bottom


def whole(picture: np.ndarray, number: int) -> bytes:
    """The access unit of a frame that is one picture, as `fields`."""
    return DELIMITER + _parameter_sets() + _picture(_luma(picture), number)


def _luma(picture: np.ndarray) -> np.ndarray:
    return np.clip(16 + picture[..., 0] * (219 / 255), 16, 235).astype(np.uint8)
