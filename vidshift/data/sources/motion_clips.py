"""Made-up clips whose label is the order of their frames.

Twelve classes in six pairs. A clip of the second class of a pair is a fresh draw of the
first, played backwards, so the frames of the two classes, taken as an unordered set,
have exactly the same distribution: a model that is blind to order can tell the pairs
apart but not the two of a pair, and stays at 50 %.

Units: lengths in frame sides, angles in radians, time in progress from 0 (first frame)
to 1 (last frame).
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from vidshift.data.media import encoding

PAIRS = (
    ("moving left", "moving right"),
    ("moving up", "moving down"),
    ("growing", "shrinking"),
    ("turning clockwise", "turning counter-clockwise"),
    ("approaching", "separating"),
    ("fading in", "fading out"),
)
CLASSES = tuple(name for pair in PAIRS for name in pair)
# Label of the mirror image: left and right swap, and the two senses of turning.
FLIP_LABELS = (1, 0, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11)
# Label of the clip played backwards.
REVERSED_LABELS = tuple(label ^ 1 for label in range(len(CLASSES)))

SPLITS = ("train", "validation", "test")
FPS = 12.0

# Grey levels that noise adds or takes at most.
NOISE = 8


@dataclasses.dataclass(slots=True)
class OrderedMotion:
    """Sizes of the built-in dataset.

    With 24 frames and 8 sampled ones the test clip takes frames 1, 4, ..., 22, which is
    symmetric: backwards it is the test clip of the reversed video. Other numbers work,
    but the frames that a model sees of the two classes of a pair may then sit at
    slightly different times.
    """

    # Side of the square frames, pixels, even.
    side: int = 32
    # Frames of a clip.
    frames: int = 24
    train_clips: int = 4800
    validation_clips: int = 600
    test_clips: int = 600
    seed: int = 0

    def clips(self, split: str) -> int:
        """Returns the number of clips of a split."""
        return getattr(self, f"{split}_clips")


def labels(options: OrderedMotion, split: str) -> np.ndarray:
    """Returns the labels of a split, int64 [clips]: balanced, in random order."""
    rng = np.random.default_rng([options.seed, SPLITS.index(split) + 1])
    return rng.permutation(np.arange(options.clips(split)) % len(CLASSES))


def clip(
    options: OrderedMotion, split: str, index: int, label: int
) -> UInt8[np.ndarray, "T S S 3"]:
    """Draws one clip, the same whichever clips are drawn before it.

    Args:
      label: `labels(options, split)[index]`.
    """
    # Trailing zeros do not change a seed, so the numbers after the first start at 1.
    seed = [options.seed, SPLITS.index(split) + 1, index + 1]
    return draw(label, options, np.random.default_rng(seed))


def draw(
    label: int, options: OrderedMotion, rng: np.random.Generator
) -> UInt8[np.ndarray, "T S S 3"]:
    """Draws a clip of one class."""
    frames = _finish(MOTIONS[label // 2](options, rng), rng)
    return frames[::-1] if label % 2 else frames


def encode(frames: UInt8[np.ndarray, "T S S 3"]) -> bytes:
    """Encodes a clip so that the codec knows no direction of time."""
    return encoding.encode_keyframes(frames, fps=FPS)


def _moving(options, rng, direction):
    progress = _progress(options)
    distance = rng.uniform(0.4, 0.7)
    # The middle of the way, off the centre by what keeps both ends in the frame.
    along = 0.5 + rng.uniform(-0.5, 0.5) * (0.8 - distance)
    across = rng.uniform(0.25, 0.75) + rng.uniform(-0.15, 0.15) * (progress - 0.5)
    position = along + distance * (progress - 0.5) * sum(direction)
    centre = (position, across) if direction[0] else (across, position)
    background = _background(options, rng)
    return _shape(background, centre, rng, size=rng.uniform(0.14, 0.24))


def _growing(options, rng):
    start, ratio = rng.uniform(0.09, 0.15), rng.uniform(2.0, 3.0)
    size = start * ratio ** _progress(options)
    background = _background(options, rng)
    return _shape(background, rng.uniform(0.35, 0.65, 2), rng, size=size)


def _turning_clockwise(options, rng):
    # As seen, with y pointing down, growing angles turn clockwise.
    angle = rng.uniform(0, 2 * math.pi) + math.radians(rng.uniform(90, 200)) * (
        _progress(options)
    )
    return _shape(
        _background(options, rng),
        rng.uniform(0.42, 0.58, 2),
        rng,
        size=rng.uniform(0.32, 0.45),
        angle=angle,
        outline=TURNING[rng.integers(len(TURNING))],
    )


def _approaching(options, rng):
    far, near = rng.uniform(0.55, 0.75), rng.uniform(0.2, 0.3)
    apart = far + (near - far) * _progress(options)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = rng.uniform(0.42, 0.58, 2)
    frames = _background(options, rng)
    for side in (-0.5, 0.5):
        centre = (
            x + side * apart * math.cos(angle),
            y + side * apart * math.sin(angle),
        )
        frames = _shape(frames, centre, rng, size=rng.uniform(0.11, 0.17))
    return frames


def _fading_in(options, rng):
    faint, clear = rng.uniform(0.0, 0.15), rng.uniform(0.75, 1.0)
    opacity = faint + (clear - faint) * _progress(options)
    return _shape(
        _background(options, rng),
        rng.uniform(0.3, 0.7, 2),
        rng,
        size=rng.uniform(0.16, 0.32),
        opacity=opacity,
    )


# One a pair, in the order of PAIRS; each draws the pair's first class.
MOTIONS: tuple[Callable, ...] = (
    functools.partial(_moving, direction=(-1.0, 0.0)),
    functools.partial(_moving, direction=(0.0, -1.0)),
    _growing,
    _turning_clockwise,
    _approaching,
    _fading_in,
)

# Signed distances to outlines of about unit radius, negative inside; u, v in the shape's
# own coordinates.
OUTLINES: tuple[Callable, ...] = (
    lambda u, v: np.hypot(u, v) - 0.9,  # disc
    lambda u, v: np.maximum(abs(u), abs(v)) - 0.75,  # square
    lambda u, v: abs(u) + abs(v) - 1.0,  # diamond
    lambda u, v: abs(np.hypot(u, v) - 0.65) - 0.28,  # ring
    lambda u, v: np.maximum(abs(u) - 0.95, abs(v) - 0.45),  # bar
)
# No turn but a full one maps these to themselves.
TURNING: tuple[Callable, ...] = (
    # A wedge that points along u.
    lambda u, v: np.maximum(0.45 * u + 0.9 * abs(v) - 0.4, -u - 0.8),
    # An L.
    lambda u, v: np.minimum(
        np.maximum(abs(u + 0.55) - 0.3, abs(v) - 0.85),
        np.maximum(abs(v - 0.55) - 0.3, abs(u) - 0.85),
    ),
    # Half a disc.
    lambda u, v: np.maximum(np.hypot(u, v) - 0.95, 0.15 - u),
)


def _progress(options: OrderedMotion) -> np.ndarray:
    return np.linspace(0, 1, options.frames, dtype=np.float32)


def _background(options: OrderedMotion, rng: np.random.Generator) -> np.ndarray:
    """Returns a smooth random picture, still over time: float32 [T, S, S, 3]."""
    knots = rng.uniform(60, 190, (4, 4, 3)).astype(np.float32)
    # Linear interpolation between the knots as a matrix, [S, 4].
    at = np.linspace(0, 3, options.side, dtype=np.float32)
    weights = np.maximum(1 - abs(at[:, None] - np.arange(4, dtype=np.float32)), 0)
    picture = np.einsum("yi,xj,ijc->yxc", weights, weights, knots, optimize=True)
    return np.repeat(picture[None], options.frames, axis=0)


def _shape(frames, centre, rng, *, size, angle=None, opacity=1.0, outline=None):
    """Paints a textured shape; centre, size, angle and opacity may vary over time."""
    count, side = frames.shape[:2]
    if angle is None:
        angle = rng.uniform(0, 2 * math.pi)
    if outline is None:
        outlines = OUTLINES + TURNING
        outline = outlines[rng.integers(len(outlines))]
    per_frame = [
        np.broadcast_to(np.asarray(value, np.float32), count)[:, None, None]
        for value in (*centre, size, angle, opacity)
    ]
    x, y, size, angle, opacity = per_frame
    at = ((np.arange(side) + 0.5) / side).astype(np.float32)
    x, y = (at[None, None, :] - x) / size, (at[None, :, None] - y) / size
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = cos * x + sin * y, cos * y - sin * x
    # The edge is one pixel wide.
    mask = np.clip(0.5 - outline(u, v) * (size * side), 0, 1) * opacity

    # Two tones, one each side of a soft line through the shape, and stripes across it:
    # what shows a turn. Dark or bright, so that it stands out from the background.
    direction = rng.uniform(0, 2 * math.pi)
    across = u * np.float32(math.cos(direction)) + v * np.float32(math.sin(direction))
    phase = np.float32(rng.uniform(0, 2 * math.pi))
    stripes = np.sin(across * np.float32(rng.uniform(4, 8)) + phase)
    tone = np.clip(0.5 + 1.5 * across + 0.25 * stripes, 0, 1)[..., None]
    dark, bright = rng.uniform(0, 50, 3), rng.uniform(200, 255, 3)
    if rng.random() < 0.5:
        dark, bright = bright, dark
    dark, bright = dark.astype(np.float32), bright.astype(np.float32)
    paint = dark + tone * (bright - dark)
    return frames + mask[..., None] * (paint - frames)


def _finish(frames, rng) -> UInt8[np.ndarray, "T S S 3"]:
    """Adds noise, drawn for each frame on its own, and rounds."""
    noise = rng.integers(-NOISE, NOISE, frames.shape, np.int8, endpoint=True)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)
