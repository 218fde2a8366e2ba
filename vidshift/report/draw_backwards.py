"""A clip, then the same clip played backwards, with networks' answers below.

A network that averages over frames gives both the same answer.
"""

import io
import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from vidshift.class_names import difference
from vidshift.data.media import video
from vidshift.data.media.encoding import UNKNOWN_FPS
from vidshift.report import colours
from vidshift.run import Run

# Lengths in pixels. The picture has a background of its own, for light and dark pages.
WIDTH, MARGIN, GAP = 480, 14, 12
CLIP_SIDE = 192
LINE = 20
PERCENT_WIDTH = 38
BACKGROUND, TRACK, TEXT, FAINT = "#1f242c", "#2f3742", "#e6e9ee", "#98a2b0"
# The light ones, on a dark background.
COLOURS = (colours.SKY, colours.ORANGE, colours.GREEN, colours.PURPLE)
MOST_NETWORKS = len(COLOURS)
# A longer clip is shown by some of its frames.
MOST_FRAMES = 16
DIRECTIONS = ("forwards", "backwards")

# Milliseconds: each frame at the video's speed within bounds, and the last one longer.
FRAME_MS = (120, 400)
HOLD_MS = 1000
# Steps in which bars grow to their new lengths.
GROWTH_STEPS, GROWTH_MS = 6, 40

# A page loads a picture of this size at once. Fewer colours make it smaller.
LARGEST_BYTES = 400_000
PALETTE_SIZES = (256, 128, 64, 32, 16)


def backwards(clips: UInt8[np.ndarray, "B T H W C"]) -> UInt8[np.ndarray, "B T H W C"]:
    """Plays clips backwards; also where a frame's channels are several pictures."""
    pictures = clips.reshape(*clips.shape[:-1], -1, 3)
    return pictures[:, ::-1, ..., ::-1, :].reshape(clips.shape)


def answers(
    runs: Sequence[Run], path: str, *, top: int
) -> tuple[dict, UInt8[np.ndarray, "T S S 3"]]:
    """Shows a video to each run's network, forwards and backwards.

    Args:
      runs: of the same classes.
      path: of the video.
      top: classes to draw.

    Returns:
      Figures for JSON, and frames that the first network sees, `MOST_FRAMES` of them at
      most. The figures are the `video`; the `frames` numbers of these, and their
      `milliseconds`; the names of the `classes`, and the numbers of those `shown`, the
      most probable first; and of each of the `networks` the `frames` that it sees and
      the probability of each class, `forwards` and `backwards`.

    Raises:
      ValueError: too many runs, other classes, or a network that takes optical flow.
      VideoError: the video cannot be decoded.
    """
    if len(runs) > MOST_NETWORKS:
        raise ValueError(f"at most {MOST_NETWORKS} --run fit, got {len(runs)}")
    first, *others = runs
    for run in others:
        ours, theirs = (str(it.checkpoint) for it in (first, run))
        differs = difference(first.classes, run.classes, us=ours, them=theirs)
        if not differs and run.description.task != first.description.task:
            differs = "one has several labels a clip"
        if differs:
            raise ValueError(f"{ours} and {theirs} have other classes: {differs}")
    info = video.probe(path)
    clips = [run.read_frames(path) for run in runs]
    networks = []
    for run, label, clip in zip(runs, labels(runs), clips, strict=True):
        length = info.num_frames - run.description.input.following
        both = np.concatenate([clip, backwards(clip)])
        logits = jax.jit(run.network())(run.normalise(both))
        probabilities = run.description.task.probabilities(jax.device_get(logits))
        networks.append(
            {
                "label": label,
                "network": run.description.name,
                "checkpoint": str(run.checkpoint),
                "frames": run.view.test_indices(length, info.fps, 1)[0].tolist(),
            }
            | dict(zip(DIRECTIONS, probabilities.tolist(), strict=True))
        )
    highest = np.max([network[way] for network in networks for way in DIRECTIONS], 0)
    numbers = np.array(networks[0]["frames"])
    drawn = np.unique(np.linspace(0, len(numbers) - 1, MOST_FRAMES).round().astype(int))
    numbers, frames = numbers[drawn], clips[0][0, drawn, ..., :3]
    apart = (numbers[-1] - numbers[0]) / max(len(numbers) - 1, 1)
    milliseconds = 1000 * apart / (info.fps or UNKNOWN_FPS)
    figures = {
        "video": str(path),
        "frames": numbers.tolist(),
        "milliseconds": int(np.clip(milliseconds, *FRAME_MS)),
        "classes": first.classes,
        "shown": np.argsort(-highest, kind="stable")[:top].tolist(),
        "networks": networks,
    }
    return figures, frames


def labels(runs: Sequence[Run]) -> list[str]:
    """Names networks by what tells them apart: the scheme, the network, or the folder."""
    backbones = {run.description.model["backbone"] for run in runs}
    schemes = [run.description.model["temporal"].upper() for run in runs]
    names = [run.description.name for run in runs]
    if len(runs) > 1 and len(backbones) == 1 and len(set(schemes)) == len(runs):
        return schemes
    return names if len(set(names)) == len(runs) else [run.folder.name for run in runs]


class Moment(NamedTuple):
    """A frame of the moving picture."""

    direction: str
    # Of the clip, in the order in which it is played.
    frame: int
    # Probability by network and class.
    bars: np.ndarray
    milliseconds: int


def moments(figures: dict) -> Iterator[Moment]:
    """Yields the moving picture's frames: both directions, and their end is their start."""
    number = len(figures["frames"])
    bars = {
        way: np.array([network[way] for network in figures["networks"]])
        for way in DIRECTIONS
    }
    for way, other in zip(DIRECTIONS, reversed(DIRECTIONS), strict=True):
        for frame in range(number):
            last = HOLD_MS if frame == number - 1 else 0
            yield Moment(way, frame, bars[way], figures["milliseconds"] + last)
        for step in range(1, GROWTH_STEPS):
            share = (1 - np.cos(np.pi * step / GROWTH_STEPS)) / 2
            grown = bars[way] + share * (bars[other] - bars[way])
            yield Moment(other, 0, grown, GROWTH_MS)


def draw(
    path: pathlib.Path, figures: dict, frames: UInt8[np.ndarray, "T S S 3"]
) -> None:
    """Writes a GIF of what `answers` returns, of at most `LARGEST_BYTES` if it can be."""
    card = Card(figures, frames)
    drawn = [(card.draw(moment), moment.milliseconds) for moment in moments(figures)]
    pictures, durations = zip(*drawn, strict=True)
    for size in PALETTE_SIZES:
        data = _encoded(pictures, durations, size)
        if len(data) <= LARGEST_BYTES:
            break
    path.write_bytes(data)


def _encoded(
    pictures: Sequence[Image.Image], durations: Sequence[int], colours: int
) -> bytes:
    """Encodes pictures with one palette, without dithering, which takes more bytes."""
    palette = pictures[-1].quantize(colours)
    first, *others = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    )
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=durations, loop=0
    )
    return file.getvalue()


class Card:
    """The layout: direction, clip, strip of its frames, a column of bars a network."""

    def __init__(self, figures: dict, frames: UInt8[np.ndarray, "T S S 3"]):
        fonts = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
        self.font, self.bold = (
            ImageFont.truetype(fonts / name, 12)
            for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
        )
        self.figures = figures
        side = frames.shape[1]
        # A whole number of pixels for each of a small frame's.
        clip_side = CLIP_SIDE // side * side or CLIP_SIDE
        self.clip = [_resized(frame, clip_side) for frame in frames]
        thumb = min(40, (WIDTH - 2 * MARGIN + 2) // len(frames) - 2)
        self.strip = [_resized(frame, thumb) for frame in frames]
        texts = [figures["classes"][number] for number in figures["shown"]]
        self.names = [self._cut(text, 170) for text in texts]
        self.label_width = int(max(map(self.font.getlength, self.names)))
        self.bars_top = MARGIN + LINE + clip_side + GAP + thumb + GAP
        rows = 1 + len(self.names)
        self.height = self.bars_top + rows * LINE + MARGIN

    def draw(self, moment: Moment) -> Image.Image:
        picture = Image.new("RGB", (WIDTH, self.height), BACKGROUND)
        canvas = ImageDraw.Draw(picture)
        order = slice(None, None, -1 if moment.direction == "backwards" else 1)
        arrow = {"forwards": "played forwards ▶", "backwards": "◀ played backwards"}
        text = arrow[moment.direction]
        canvas.text(
            (WIDTH / 2, MARGIN + 6), text, fill=TEXT, font=self.bold, anchor="mm"
        )
        clip = self.clip[order][moment.frame]
        top = MARGIN + LINE
        picture.paste(clip, ((WIDTH - clip.width) // 2, top))
        self._draw_strip(picture, canvas, order, moment.frame, top + clip.height + GAP)
        self._draw_bars(canvas, moment.bars)
        return picture

    def _draw_strip(self, picture, canvas, order, current: int, top: int) -> None:
        side = self.strip[0].width
        left = (WIDTH - len(self.strip) * (side + 2) + 2) // 2
        for number, thumb in enumerate(self.strip[order]):
            place = left + number * (side + 2)
            picture.paste(thumb, (place, top))
            if number == current:
                box = (place - 2, top - 2, place + side + 1, top + side + 1)
                canvas.rectangle(box, outline=TEXT, width=2)

    def _draw_bars(self, canvas, bars: np.ndarray) -> None:
        networks = self.figures["networks"]
        left = MARGIN + self.label_width
        column = (WIDTH - MARGIN - left) // len(networks)
        for network, values, colour, place in zip(
            networks, bars, COLOURS, itertools.count(left, column), strict=False
        ):
            start, end = place + GAP, place + column - PERCENT_WIDTH
            name = self._cut(network["label"], column - GAP)
            canvas.text(
                (start, self.bars_top + 7), name, colour, self.bold, anchor="lm"
            )
            for row, number in enumerate(self.figures["shown"], 1):
                middle = self.bars_top + row * LINE + 7
                box = (start, middle - 5, end, middle + 5)
                canvas.rectangle(box, fill=TRACK)
                long = round(values[number] * (end - start))
                if long:
                    canvas.rectangle((*box[:2], start + long, box[3]), fill=colour)
                text = f"{values[number]:.0%}"
                canvas.text((end + 6, middle), text, TEXT, self.font, anchor="lm")
        for row, name in enumerate(self.names, 1):
            place = (MARGIN, self.bars_top + row * LINE + 7)
            canvas.text(place, name, FAINT, self.font, anchor="lm")

    def _cut(self, text: str, width: float) -> str:
        if self.font.getlength(text) <= width:
            return text
        while text and self.font.getlength(f"{text}…") > width:
            text = text[:-1]
        return f"{text.rstrip()}…"


def _resized(frame: UInt8[np.ndarray, "S S 3"], side: int) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(frame))
    # A small picture's pixels stay visible.
    enlarged = side >= 2 * picture.width
    kind = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return picture.resize((side, side), kind)
