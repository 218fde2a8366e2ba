"""Changes of places, against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.support.pictures_for_augment import frames
from vidshift.data.device.affine import FILL, resample
from vidshift.data.device.operations import OPERATIONS

MATRICES = {name: it.matrix for name, it in OPERATIONS.items() if it.matrix}

BILINEAR = Image.Resampling.BILINEAR


def transformed(picture: Image.Image, *matrix: float) -> Image.Image:
    kind = Image.Transform.AFFINE
    return picture.transform(picture.size, kind, matrix, BILINEAR, fillcolor=FILL)


PILLOW = {
    "Rotate": lambda p, degrees: p.rotate(degrees, BILINEAR, fillcolor=FILL),
    "ShearX": lambda p, factor: transformed(p, 1, factor, 0, 0, 1, 0),
    "ShearY": lambda p, factor: transformed(p, 1, 0, 0, factor, 1, 0),
    "TranslateXRel": lambda p, share: transformed(p, 1, 0, share * p.width, 0, 1, 0),
    "TranslateYRel": lambda p, share: transformed(p, 1, 0, 0, 0, 1, share * p.height),
}


@jax.jit
def all_matrices(x: jax.Array, arg: jax.Array) -> dict[str, jax.Array]:
    height, width = x.shape[1:3]
    return {
        name: resample(x, matrix(height, width, arg))
        for name, matrix in MATRICES.items()
    }


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("magnitude", [0.0, 1.3, 5.0, 8.4, 9.0, 10.0])
def test_moves_are_pillows(magnitude, sign):
    pictures = frames(33, 41)
    for name in MATRICES:
        arg = OPERATIONS[name].argument(magnitude, sign)
        ours = np.asarray(all_matrices(pictures, jnp.float32(arg))[name])
        pillows = np.stack(
            [np.asarray(PILLOW[name](Image.fromarray(x), arg)) for x in pictures]
        )
        # A level where float32 falls on either side of a whole number; a pixel that is
        # outside for one alone would differ by more.
        difference = np.abs(ours.astype(int) - pillows)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.02, name
        assert (ours == pictures).all() == (magnitude == 0), name
        if magnitude >= 5:
            assert (ours == FILL).all(-1).any((1, 2)).all(), name


def test_whole_pixels_are_moved_unchanged():
    pictures = frames(8, 12)
    moved = all_matrices(pictures, jnp.float32(0.25))
    left, up = np.asarray(moved["TranslateXRel"]), np.asarray(moved["TranslateYRel"])
    np.testing.assert_array_equal(left[:, :, :9], pictures[:, :, 3:])
    np.testing.assert_array_equal(up[:, :6], pictures[:, 2:])
    assert (left[:, :, 9:] == FILL).all() and (up[:, 6:] == FILL).all()
