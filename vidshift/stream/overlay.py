"""A video with a network's answers drawn in."""

import os
import pathlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageDraw, ImageFont

from vidshift.data.media.encoding import UNKNOWN_FPS
from vidshift.data.media.video import VideoError
from vidshift.stream.sources import Frame
from vidshift.tasks.kinds import Guess

# Of a second: fine enough for any frame rate.
TICK = Fraction(1, 90_000)


def draw(rgb: np.ndarray, guesses: Sequence[Guess]) -> np.ndarray:
    """Draws a bar and a name for each class in the upper left corner.

    Args:
      rgb: uint8 [H, W, 3].
      guesses: of probabilities in [0, 1]; none before the first answer.
    """
    height, width = rgb.shape[:2]
    line = max(10, height // 16)
    font = ImageFont.load_default(size=0.75 * line)
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    canvas = ImageDraw.Draw(picture, "RGBA")
    for row, guess in enumerate(guesses):
        top, bottom = row * line, (row + 1) * line - 1
        canvas.rectangle((0, top, width // 2, bottom), fill=(0, 0, 0, 140))
        long = round(guess.probability * (width // 2))
        canvas.rectangle((0, top, long, bottom), fill=(40, 130, 60, 200))
        text = f"{guess.probability:4.0%} {guess.name}"
        canvas.text((line // 4, top), text, fill="white", font=font)
    return np.asarray(picture)


class Drawing:
    """Writes frames to an H.264 mp4 as they come, each at its own time.

    The file is there once it is closed; until then it is `FILE.partial`.

    Args:
      path: the file.

    Raises:
      VideoError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            # Not by its name: of one like `one:two.mp4` FFmpeg would take a protocol.
            self._file = self._partial.open("wb")
        except OSError as error:
            raise VideoError(
                f"{self.path}: cannot be written ({error.strerror})"
            ) from error
        self._container = av.open(self._file, "w", format="mp4")
        self._stream: av.VideoStream | None = None
        self._reformatter = VideoReformatter()
        self._last = -1

    def add(self, frame: Frame, guesses: Sequence[Guess]) -> None:
        """Draws and writes a frame; one of another size is scaled to the first one's.

        Raises:
          VideoError: it cannot be encoded.
        """
        if self._stream is None:
            rgb = frame.show()
            self._begin(rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2, frame.fps)
        size = self._stream.height, self._stream.width
        rgb = frame.show(size)
        picture = av.VideoFrame.from_ndarray(draw(rgb, guesses), format="rgb24")
        picture = self._reformatter.reformat(picture, format="yuv420p", threads=1)
        self._last = max(self._last + 1, round(frame.time / TICK))
        picture.pts, picture.time_base = self._last, TICK
        self._encode(picture)

    def close(self) -> None:
        """Ends the file. Nothing is left of one without a frame."""
        if self._stream is not None:
            self._encode(None)
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise VideoError(
                f"{self.path}: cannot be written ({error.strerror})"
            ) from error
        finally:
            self._file.close()
        if self._stream is None:
            self._partial.unlink()
        else:
            os.replace(self._partial, self.path)

    def _begin(self, height: int, width: int, fps: float) -> None:
        rate = Fraction(fps or UNKNOWN_FPS).limit_denominator(1001)
        # No B-frames: what is written is whole up to any frame.
        options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        stream = self._container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICK
        self._stream = stream

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            raise VideoError(
                f"{self.path}: cannot be encoded ({error.strerror})"
            ) from error
