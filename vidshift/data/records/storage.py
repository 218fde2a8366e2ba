"""Forms of a clip in its record: the file as it is, or encoded anew.

`fast` and `frames` are scaled down to a short side of 256 pixels (never up), turned
upright and brought to 8 bits; frame i is frame i of the source, however far apart in time
they are. Where pixels are not square, what is stored says so as the source does.
`keyframes` is for windows, clips with a `playback`: some frames of a part of a video.
"""

import contextlib
import functools
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from vidshift.data.annotations.clip import Clip
from vidshift.data.media import encoding, images, video
from vidshift.data.media.encoding import UNKNOWN_FPS, encode, encode_jpeg, join_jpegs
from vidshift.data.media.frame_index import index_of
from vidshift.data.media.player import Player
from vidshift.data.media.video import VideoError
from vidshift.data.records import windows

# Above it, an average frame rate is not one.
MOST_FPS = 1000.0
# Short side of what is encoded anew, pixels.
SHORT_SIDE = 256
# The storage of clips with a `playback`, and of no others.
KEYFRAMES = "keyframes"

JPEG_SUFFIXES = (".jpg", ".jpeg")
# Two decoders' pictures of one JPEG differ by less on average, of 255: they smooth colours
# in different ways.
MOST_DIFFERENCE = 10.0


class Stored(NamedTuple):
    video: bytes
    num_frames: int
    # Mean frames a second; 0 if the source does not say.
    fps: float


def store(clip: Clip, storage: str, pictures_of: Callable | None = None) -> Stored:
    """Reads a clip whole and makes what its record keeps.

    Args:
      clip: from the annotations.
      storage: a name in STORAGES, or KEYFRAMES.
      pictures_of: makes other pictures of the clip's (`flow.pictures`), which have no
        file to be kept as.

    Raises:
      VideoError: the clip is missing, damaged, cut short, empty, or has no frame between
        its start and end. The same clip gives the same error each time.
    """
    with _errors_name(clip):
        make = _window if storage == KEYFRAMES else STORAGES[storage]
        return make(clip, pictures_of)


def count(clip: Clip) -> int:
    """Decodes a clip from beginning to end and counts its frames; errors as `store`."""
    with _errors_name(clip):
        if clip.playback is not None:
            return len(windows.read(clip).frames)
        return sum(1 for _ in Pictures(clip))


@contextlib.contextmanager
def _errors_name(clip: Clip) -> Iterator[None]:
    """Makes every failure to read a clip a VideoError that begins with its id."""
    try:
        if not clip.path.exists():
            raise VideoError(f"not there: {clip.path}")
        yield
    except VideoError as error:
        text = str(error)
        known = text.startswith(f"{clip.id}: ")
        raise VideoError(text if known else f"{clip.id}: {text}") from error
    except (OSError, av.FFmpegError) as error:
        raise VideoError(f"{clip.id}: cannot be read ({error})") from error


def _window(clip: Clip, pictures_of: None) -> Stored:
    """Stores a window at its own rate, whatever the speed, which the rate would tell."""
    frames, pixel_aspect = windows.read(clip)
    fps = clip.playback.rate
    data = encoding.encode_keyframes(frames, fps=fps, pixel_aspect=pixel_aspect)
    return Stored(data, len(frames), fps)


def _copied(clip: Clip, pictures_of: None) -> Stored:
    if clip.path.is_dir():
        return _as_frames(clip, pictures_of)
    if clip.start is not None or clip.end is not None:
        raise VideoError(f"{clip.id}: a part of a file cannot be copied")
    size_bytes = clip.path.stat().st_size
    if size_bytes > encoding.MOST_BYTES:
        raise VideoError(
            f"too long for a record: {size_bytes:,} bytes, of at most "
            f"{encoding.MOST_BYTES:,}; the storage `fast` may make it smaller"
        )
    data = clip.path.read_bytes()
    count, fps, shapes, player = 0, 0.0, set(), Player()
    # Of the bytes, as training reads them: a file's name may tell FFmpeg more.
    for frame, fps in video.frames(data, name=clip.id):
        player.see(frame)
        shape = (player.size(frame), frame.format.name)
        if shape not in shapes:
            player.show(frame)  # whether it can be
        shapes.add(shape)
        count += 1
    if len({size for size, _ in shapes}) > 1:
        raise VideoError(
            f"{clip.id}: the frame size changes within the video, which the storages "
            "`fast` and `frames` even out"
        )
    return Stored(data, count, fps if fps <= MOST_FPS else 0.0)


def _as_frames(clip: Clip, pictures_of: Callable | None) -> Stored:
    kept = _joined(clip) if clip.path.is_dir() and pictures_of is None else None
    return kept or _encoded(clip, pictures_of, encoder=encode_jpeg, even=False)


def _encoded(
    clip: Clip, pictures_of: Callable | None, *, encoder: Callable, even: bool
) -> Stored:
    pictures = Pictures(clip, SHORT_SIDE, even=even)
    made = iter(pictures_of(pictures) if pictures_of else pictures)
    first = next(made, None)
    if first is None:
        raise VideoError(f"{clip.id}: too short, {pictures.count} frames")
    number = 1

    def counted() -> Iterator[np.ndarray]:
        nonlocal number
        yield first
        for picture in made:
            number += 1
            yield picture

    data = encoder(
        counted(),
        fps=pictures.fps or UNKNOWN_FPS,
        pixel_aspect=pictures.pixel_aspect,
    )
    return Stored(data, number, pictures.fps)


def _joined(clip: Clip) -> Stored | None:
    """JPEGs of a folder as they are.

    None where they are too large or of several sizes, or where what decodes a record sees
    another picture than `images.decode` (a PNG by the name of a JPEG, an EXIF's mirroring).
    """
    files = image_files(clip)
    sizes, samples = set(), []
    for file in files:
        if not file.name.lower().endswith(JPEG_SUFFIXES):
            return None
        # Decoded once, so that a damaged one is found now.
        (picture,) = images.decode(file, [0], name=f"{clip.id}: {file.name}")
        sizes.add(picture.shape[:2])
        samples.append(_sample(picture))
    (height, width), *others = sizes
    if others or min(height, width) > SHORT_SIDE:
        return None
    fps = clip.fps or 0.0
    data = join_jpegs(
        (file.read_bytes() for file in files),
        height=height,
        width=width,
        fps=fps or UNKNOWN_FPS,
    )
    player, shown = Player(), []
    try:
        for frame, _ in video.frames(data):
            player.see(frame)
            shown.append(_sample(player.show(frame)))
    except VideoError:
        return None
    if len(shown) != len(samples) or any(map(_differ, samples, shown)):
        return None
    return Stored(data, len(files), fps)


def _sample(picture: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Size and some pixels, few enough to keep those of a long video."""
    height, width = picture.shape[:2]
    steps = slice(None, None, -(-height // 16)), slice(None, None, -(-width // 16))
    return picture.shape, picture[steps].copy()


def _differ(one, other) -> bool:
    (size, some), (other_size, others) = one, other
    if size != other_size:
        return True
    return bool(np.abs(some.astype(int) - others).mean() > MOST_DIFFERENCE)


# Makers of a record's content by the storage's name; the first is the default.
STORAGES: dict[str, Callable[[Clip, Callable | None], Stored]] = {
    # H.264 with a keyframe every 4 frames and no B-frames
    "fast": functools.partial(_encoded, encoder=encode, even=True),
    "copy": _copied,  # the file, or a folder's JPEGs
    "frames": _as_frames,  # a JPEG each frame
}


class Pictures:
    """Yields the frames of a clip in RGB, upright, one at a time.

    Args:
      clip: its file or folder of images must be there.
      short_side: what larger frames are scaled down to, all to the size of the first;
        None leaves each as it is.
      even: make both sides even.

    Attributes:
      count: of the frames given so far.
      fps: mean frames a second, once the first was given; 0 if unknown.
      pixel_aspect: width of a pixel over its height, once the first was given.
    """

    def __init__(
        self, clip: Clip, short_side: int | None = None, *, even: bool = False
    ):
        self._clip, self._short_side, self._even = clip, short_side, even
        self.count, self.fps, self.pixel_aspect = 0, 0.0, encoding.SQUARE

    def __iter__(self) -> Iterator[np.ndarray]:
        for picture in self._images() if self._clip.path.is_dir() else self._frames():
            self.count += 1
            yield picture

    def _frames(self) -> Iterator[np.ndarray]:
        clip, player, size = self._clip, Player(), None
        stored_aspect = index_of(clip.path, clip.id).pixel_aspect
        frames = video.frames(clip.path, start=clip.start, end=clip.end, name=clip.id)
        for frame, fps in frames:
            # Some containers state a clock's rate for the frames'.
            self.fps = fps if 0 < fps <= MOST_FPS else 0.0
            player.see(frame)
            if not self.count:
                self.pixel_aspect = player.aspect(stored_aspect)
            if self._short_side:
                size = size or self._fitted(*player.size(frame))
            yield np.ascontiguousarray(player.show(frame, size, "BICUBIC"))

    def _images(self) -> Iterator[np.ndarray]:
        clip, size = self._clip, None
        self.fps = clip.fps or 0.0
        for file in image_files(clip):
            (rgb,) = images.decode(file, [0], name=f"{clip.id}: {file.name}")
            if not self.count:
                self.pixel_aspect = images.pixel_aspect(file)
            if self._short_side:
                size = size or self._fitted(*rgb.shape[:2])
                if size != rgb.shape[:2]:
                    resized = Image.fromarray(rgb).resize(size[::-1], Image.BICUBIC)
                    rgb = np.asarray(resized)
            yield rgb

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        return fitted(height, width, self._short_side, even=self._even)


def fitted(
    height: int, width: int, short_side: int = SHORT_SIDE, *, even: bool = True
) -> tuple[int, int]:
    """Returns the sides of a frame that is scaled down to a short side, never up."""
    scale = min(1.0, short_side / min(height, width))
    unit = 2 if even else 1
    return tuple(
        max(unit, round(side * scale / unit) * unit) for side in (height, width)
    )


def image_files(clip: Clip) -> list[pathlib.Path]:
    """Returns the images of a clip's folder in the order of their names' numbers.

    Raises:
      VideoError: there are none, or the clip has a start or end but no frame rate.
    """
    files = [
        file
        for file in clip.path.iterdir()
        if file.name.lower().endswith(images.SUFFIXES) and file.name[0] != "."
    ]
    files.sort(key=lambda file: (_last_number(file.stem), file.name))
    if clip.start is not None or clip.end is not None:
        if not clip.fps:
            raise VideoError(f"{clip.id}: cannot be cut, its frame rate is not known")
        first = 0 if clip.start is None else round(clip.start * clip.fps)
        last = None if clip.end is None else round(clip.end * clip.fps)
        files = files[first:last]
    if not files:
        raise VideoError(f"{clip.id}: no images in {clip.path}")
    return files


def _last_number(stem: str) -> int:
    numbers = re.findall("[0-9]+", stem)
    return int(numbers[-1]) if numbers else -1
