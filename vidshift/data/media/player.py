"""Frames as a player shows them: upright, in RGB, at the size that is wanted."""

from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

# Display matrices (a, b, c, d) that turn counter-clockwise by so many quarters.
QUARTERS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


class Player:
    """Shows the frames of one video, upright and in RGB; it must see each of them first.

    H.264 may say at a keyframe alone how it and the frames after it are turned.

    Args:
      stretch: width of a stored pixel over its height, which becomes square; 1 leaves
        pixels as they are.
    """

    def __init__(self, stretch: Fraction = Fraction(1)):
        self._reformatter = VideoReformatter()
        self._stretch = stretch
        self._matrix = QUARTERS[0]

    def see(self, frame: av.VideoFrame) -> None:
        matrix = _matrix(frame)
        if matrix is not None or frame.key_frame:
            self._matrix = matrix or QUARTERS[0]

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Returns height and width as shown."""
        height, width = frame.height, frame.width
        if self._is_sideways():
            height, width = width, height
        return height, max(1, round(width * self.aspect(self._stretch)))

    def aspect(self, pixel_aspect: Fraction) -> Fraction:
        """Returns a pixel's width over its height as shown, from that as stored."""
        return 1 / pixel_aspect if self._is_sideways() else pixel_aspect

    def show(
        self,
        frame: av.VideoFrame,
        size: tuple[int, int] | None = None,
        interpolation: str | None = None,
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Returns a frame, turned and mirrored by quarter turns.

        Args:
          frame: the one that was seen last.
          size: height and width to scale it to, as shown; None: its own.
          interpolation: FFmpeg's name of how it is scaled.
        """
        height, width = size or self.size(frame)
        a, _, _, d = self._matrix
        if sideways := self._is_sideways():
            height, width, (_, d, a, _) = width, height, self._matrix
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=interpolation,
            threads=1,
        ).to_ndarray()
        rgb = rgb.swapaxes(0, 1) if sideways else rgb
        return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]

    def _is_sideways(self) -> bool:
        a, b, c, d = self._matrix
        return abs(b) + abs(c) > abs(a) + abs(d)


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """ISO/IEC 14496-12, 6.2.2: x to the right is shown as (a, b), y downwards as (c, d)."""
    try:
        # Of its own: `frame.side_data` and the frame hold each other, so that each frame
        # would stay until Python looks for cycles.
        entries = SideDataContainer(frame).get(Type.DISPLAYMATRIX)
    except ValueError:
        # PyAV stumbles over kinds of side data that it does not know (EXIF, in JPEGs).
        return QUARTERS[round(frame.rotation / 90) % 4]
    if entries is None:
        return None
    a, b, _, c, d = (int(entry) for entry in np.frombuffer(entries, "=i4")[:5])
    return a, b, c, d
