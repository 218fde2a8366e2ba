"""Frames to augment: of every kind that a picture's levels can be spread in."""

import numpy as np


def frames(height: int, width: int) -> np.ndarray:
    """uint8 [6, height, width, 3]: noise, a scene, a dull scene, one level, two, grey."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / max(height, width)
    scene = np.stack(
        [90 + 80 * np.sin(5 * x + 2 * y), 60 + 150 * x * y, 200 - 120 * x], -1
    )
    scene[height // 4 : height // 2, width // 3 : width // 2] = 220, 40, 30
    scene = np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255)
    noise = rng.integers(0, 256, (height, width, 3))
    two = np.where(rng.random((height, width, 3)) < 0.1, 30, 31)
    level = np.full((height, width, 3), 77)
    grey = noise[..., :1].repeat(3, -1)
    kinds = [noise, scene, scene / 2 + 30, level, two, grey]
    return np.stack(kinds).astype(np.uint8)
