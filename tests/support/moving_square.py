"""Videos of a square whose way says nothing of time: it swings, on a still background."""

import pathlib

import numpy as np

from vidshift.data.media.encoding import encode


def frames(
    seconds: float, *, fps: float = 12.0, side: int = 48, seed: int = 0
) -> np.ndarray:
    """Returns uint8 [T, side, side, 3]; both ways of the swing are equally fast."""
    rng = np.random.default_rng(seed)
    count = round(seconds * fps) + 1
    time = np.arange(count) / fps
    background = rng.integers(60, 120, (side // 8, side // 8, 3)).repeat(8, 0)
    background = background.repeat(8, 1)
    x, y = (
        0.5 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.5, 0.9) * time + rng.uniform(0, 6))
        for _ in range(2)
    )
    edge = side // 4
    pictures = np.repeat(background[None].astype(np.uint8), count, axis=0)
    for picture, left, top in zip(pictures, x, y, strict=True):
        column, row = (round(place * (side - edge)) for place in (left, top))
        picture[row : row + edge, column : column + edge] = 230
    noise = rng.integers(-6, 7, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def write(path: pathlib.Path, seconds: float, *, fps: float = 12.0, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = frames(seconds, fps=fps, **options)
    path.write_bytes(encode(pictures, fps=fps, gop=12))
