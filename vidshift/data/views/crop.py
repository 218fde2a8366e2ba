"""Places a clip's crop in its frames and cuts it out, in uint8 on the host.

A box is (left, top, right, bottom) in pixels of the decoded frame, not necessarily
whole ones. Resizing the short side to `resize` and then cropping a square of `crop`, as
the official code does, is one resampling of the box whose side is
`crop / resize * short side`.
"""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Box = tuple[float, float, float, float]

# TSM's training scales are 1, 7/8, 3/4 and 2/3 of the short side, and the height and the
# width of a crop are at most one step apart in that list (MultiScaleCrop, max_distort=1).
MULTI_SCALES = (1.0, 0.875, 0.75, 0.66)
MAX_DISTORT = 1

# Its 13 places, as fractions of the room left: a 5 x 5 grid, every second point.
PLACES = tuple((x / 4, y / 4) for x in range(5) for y in range(5) if (x + y) % 2 == 0)


def short_side_place(
    height: int, width: int, *, resize: int, crop: int, x: float = 0.5, y: float = 0.5
) -> tuple[int, int]:
    """Returns (left, top) of a square of `crop` pixels once the short side is `resize`.

    Whole pixels of the resized frame, as the official code has it: a frame that already
    has the right short side is then cut, not resampled.

    Args:
      height, width: of the frame, pixels.
      resize: short side of the resized frame, pixels; `crop` at most.
      x, y: place between the left and top (0) and the right and bottom edges (1).

    Raises:
      ValueError: a size below 1 or a crop larger than the resized frame.
    """
    if min(height, width, resize, crop) < 1 or crop > resize:
        raise ValueError(
            "sizes must be >= 1 and crop <= resize, got "
            f"height={height}, width={width}, resize={resize}, crop={crop}"
        )
    scale = min(height, width) / resize
    # 255.99... is 256.
    wide, tall = (int(side / scale + 1e-6) - crop for side in (width, height))
    left, top = round((width / scale - crop) * x), round((height / scale - crop) * y)
    return min(left, wide), min(top, tall)


def random_short_side(
    low: int, high: int, *, inverse: bool, rng: np.random.Generator
) -> int:
    """Draws the short side that a frame is resized to, pixels (SlowFast's jitter).

    The side is uniform, or with `inverse` one over the side.
    """
    if inverse:
        return round(1 / rng.uniform(1 / high, 1 / low))
    return round(rng.uniform(low, high))


def random_box(
    height: int, width: int, *, resize: int, crop: int, rng: np.random.Generator
) -> Box:
    """Returns the square of `short_side_place` at a place drawn uniformly from all."""
    x, y = rng.random(2)
    left, top = short_side_place(height, width, resize=resize, crop=crop, x=x, y=y)
    return scaled_box(left, top, crop, crop, min(height, width) / resize)


def scaled_box(left: int, top: int, wide: int, tall: int, scale: float) -> Box:
    """Returns the box that pixels of the resized frame cover in the frame itself."""
    return left * scale, top * scale, (left + wide) * scale, (top + tall) * scale


def multi_scale_box(
    height: int,
    width: int,
    *,
    rng: np.random.Generator,
    scales: tuple[float, ...] = MULTI_SCALES,
) -> Box:
    """Draws TSM's training crop: a random size at one of 13 fixed places.

    The official code does not resize first, so this takes neither `resize` nor `crop`;
    it rounds sides to whole pixels, which resampling a box does not need.

    Raises:
      ValueError: no scales, or one outside (0, 1].
    """
    if not scales or not all(0 < scale <= 1 for scale in scales):
        raise ValueError(f"scales must be in (0, 1], got {scales}")
    short = min(height, width)
    pairs = [
        (tall, wide)
        for i, tall in enumerate(scales)
        for j, wide in enumerate(scales)
        if abs(i - j) <= MAX_DISTORT
    ]
    tall, wide = pairs[rng.integers(len(pairs))]
    x, y = PLACES[rng.integers(len(PLACES))]
    left, top = (width - short * wide) * x, (height - short * tall) * y
    return left, top, left + short * wide, top + short * tall


def random_area_box(
    height: int,
    width: int,
    *,
    rng: np.random.Generator,
    area: tuple[float, float],
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Draws a crop of a random share of the frame's area, shape and place.

    That of Inception's training (Szegedy et al., 2015), as torchvision's
    `RandomResizedCrop` has it: the share is uniform, the logarithm of width over height
    too; ten tries, then the largest box in the middle whose shape is allowed.

    Args:
      area: smallest and largest share, in (0, 1].
      aspect: smallest and largest width over height.

    Raises:
      ValueError: shares that are out of range or order.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area must be two shares in (0, 1], in order, got {area}")
    for _ in range(10):
        size = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        wide, tall = round(math.sqrt(size * ratio)), round(math.sqrt(size / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            left = int(rng.integers(width - wide + 1))
            top = int(rng.integers(height - tall + 1))
            return left, top, left + wide, top + tall
    ratio = min(max(width / height, aspect[0]), aspect[1])
    wide, tall = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall


def crop_resize(
    frames: UInt8[np.ndarray, "T H W C"], box: Box, size: int | tuple[int, int]
) -> UInt8[np.ndarray, "T h w C"]:
    """Cuts a box out of each frame and resizes it.

    Pillow's bilinear filter, whose support grows when it shrinks a picture, as in the
    official code. A box of whole pixels that already has the size is only cut out, and
    frames that need no change are returned as they are.

    Args:
      frames: pictures of one size.
      box: (left, top, right, bottom) within the frame, pixels.
      size: height and width of the result, pixels; one number is a square's side.

    Raises:
      ValueError: the box is empty or leaves the frame, or the size is below 1.
    """
    _, height, width, channels = frames.shape
    left, top, right, bottom = box
    if not (0 <= left < right <= width + 1e-6 and 0 <= top < bottom <= height + 1e-6):
        raise ValueError(f"box must lie in a {width}x{height} frame, got {box}")
    tall, wide = (size, size) if isinstance(size, int) else size
    if min(tall, wide) < 1:
        raise ValueError(f"size must be >= 1, got {size}")
    whole = all(side == int(side) for side in box)
    if whole and right - left == wide and bottom - top == tall:
        return frames[:, int(top) : int(bottom), int(left) : int(right)]
    # Rounding may put the far edge a hair outside, which Pillow refuses.
    box = (left, top, min(right, width), min(bottom, height))
    result = np.empty((len(frames), tall, wide, channels), np.uint8)
    for frame, out in zip(frames, result, strict=True):
        # Pillow has pictures of three channels, and of one.
        parts = (slice(0, 3),) if channels == 3 else range(channels)
        for part in parts:
            picture = Image.fromarray(np.ascontiguousarray(frame[..., part]))
            out[..., part] = picture.resize(
                (wide, tall), Image.Resampling.BILINEAR, box=box, reducing_gap=None
            )
    return result
