"""Changes of levels, against Pillow and colorsys."""

import colorsys
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tests.support.files import ROOT
from tests.support.pictures_for_augment import frames
from vidshift.data.device import histogram
from vidshift.data.device.operations import OPERATIONS
from vidshift.kernels.analysis import chips

PICTURES = frames(33, 41)
PILLOW = {
    "AutoContrast": lambda picture, _: ImageOps.autocontrast(picture),
    "Equalize": lambda picture, _: ImageOps.equalize(picture),
    "Invert": lambda picture, _: ImageOps.invert(picture),
    "Posterize": ImageOps.posterize,
    "Solarize": ImageOps.solarize,
    "SolarizeAdd": lambda picture, add: picture.point(
        [min(255, v + add) if v < 128 else v for v in range(256)] * 3
    ),
    "Color": lambda picture, factor: ImageEnhance.Color(picture).enhance(factor),
    "Contrast": lambda picture, factor: ImageEnhance.Contrast(picture).enhance(factor),
    "Brightness": lambda picture, factor: ImageEnhance.Brightness(picture).enhance(
        factor
    ),
    "Sharpness": lambda picture, factor: ImageEnhance.Sharpness(picture).enhance(
        factor
    ),
}
ENHANCEMENTS = ("Color", "Contrast", "Brightness", "Sharpness")
MAGNITUDES = (0.0, 2.6, 5.0, 8.3, 9.0, 9.7, 10.0)


def by_pillow(name: str, arg: float, pictures: np.ndarray = PICTURES) -> np.ndarray:
    changed = [PILLOW[name](Image.fromarray(picture), arg) for picture in pictures]
    return np.stack([np.asarray(picture) for picture in changed])


def by_device(name: str, arg: float, pictures: np.ndarray = PICTURES) -> np.ndarray:
    return np.asarray(jax.jit(OPERATIONS[name].change)(pictures, jnp.float32(arg)))


@pytest.mark.parametrize("name", ["Invert", "Posterize", "Solarize", "SolarizeAdd"])
def test_tables_are_pillows(name):
    for magnitude in MAGNITUDES:
        arg = OPERATIONS[name].argument(magnitude, 1)
        if name == "Posterize" and not arg:
            # Pillow refuses it by now; what it made of it when it did not.
            assert not by_device(name, arg).any()
            continue
        np.testing.assert_array_equal(by_device(name, arg), by_pillow(name, arg))


# Of 35 pixels none are left for a step of Equalize; of 320 the steps are of one pixel,
# and the table goes beyond 255.
@pytest.mark.parametrize("size", [(33, 41), (5, 7), (16, 20), (1, 300)])
def test_equalize_is_pillows(size):
    pictures = frames(*size)
    np.testing.assert_array_equal(
        by_device("Equalize", 0.0, pictures), by_pillow("Equalize", 0.0, pictures)
    )


def test_auto_contrast_is_pillows_but_where_its_doubles_fall_short():
    ours, pillows = by_device("AutoContrast", 0.0), by_pillow("AutoContrast", 0.0)
    darkest = PICTURES.min((1, 2), keepdims=True).astype(int)
    width = np.maximum(PICTURES.max((1, 2), keepdims=True) - darkest, 1)
    whole = (PICTURES - darkest) * 255 % width == 0
    differ = ours != pillows
    assert not differ[~whole].any()
    assert (ours[differ] == pillows[differ] + 1).all()
    # So that an operation that did nothing would be seen.
    assert (ours != PICTURES).any((1, 2, 3)).tolist() == [0, 1, 1, 0, 1, 0]


def test_auto_contrast_rounds_every_quotient_down():
    width = np.arange(1, 256)[:, None]  # a frame for each range of levels
    step = np.minimum(np.arange(256), width)
    darkest = (255 - width) // 2
    rows = np.broadcast_to((darkest + step)[:, None, :, None], (255, 1, 256, 3))
    ours = by_device("AutoContrast", 0.0, rows.astype(np.uint8))
    np.testing.assert_array_equal(ours[:, 0, :, 1], step * 255 // width)


@pytest.mark.parametrize("name", ENHANCEMENTS)
def test_enhancements_are_pillows(name):
    for magnitude in MAGNITUDES:
        factor = OPERATIONS[name].argument(magnitude, 1)
        ours, pillows = by_device(name, factor), by_pillow(name, factor)
        # A level less or more where float32 falls on either side of a whole number.
        difference = np.abs(ours.astype(int) - pillows)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
        assert (magnitude == 5) == (ours == PICTURES).all()


@pytest.mark.parametrize("size", [(1, 9), (2, 9), (9, 2), (3, 3)])
def test_sharpness_leaves_the_edge(size):
    pictures = frames(*size)
    np.testing.assert_array_equal(
        by_device("Sharpness", 0.1, pictures), by_pillow("Sharpness", 0.1, pictures)
    )


@pytest.mark.parametrize("share", [-0.5, -0.1, 0.0, 0.07, 0.3, 0.5])
def test_hue_is_that_of_colorsys(share):
    ours = by_device("Hue", share)

    def turned(pixel):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        return colorsys.hsv_to_rgb((hue + share) % 1, saturation, value)

    expected = 255 * np.apply_along_axis(turned, -1, PICTURES[:2])
    assert np.abs(ours[:2] - expected).max() < 0.51
    np.testing.assert_array_equal(ours[5], PICTURES[5])  # grey has none
    if not share:
        np.testing.assert_array_equal(ours, PICTURES)


def test_products_count_and_read_as_one_by_one():
    table = np.random.default_rng(1).integers(0, 256, (len(PICTURES), 3, 256), np.uint8)
    counts = histogram.histogram_by_products(jnp.asarray(PICTURES))
    expected = histogram.histogram_by_counting(jnp.asarray(PICTURES))
    np.testing.assert_array_equal(counts, expected)
    assert (
        counts[1, 2].tolist()
        == np.bincount(PICTURES[1, ..., 2].ravel(), minlength=256).tolist()
    )
    given = jnp.asarray(table), jnp.asarray(PICTURES)
    read = histogram.look_up_by_products(*given)
    np.testing.assert_array_equal(read, histogram.look_up_by_reading(*given))
    assert read[2, 3, 4, 1] == table[2, 1, PICTURES[2, 3, 4, 1]]


# In a process whose JAX has not started.
COMPILE = """
import jax, jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from vidshift.kernels.analysis import chips
device = SingleDeviceSharding(chips.describe("v5e"))
from vidshift.data.device.pixel_ops import equalize
clip = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.uint8, sharding=device)
arg = jax.ShapeDtypeStruct((), jnp.float32, sharding=device)
lowered = jax.jit(equalize).trace(clip, arg).lower(lowering_platforms=("tpu",))
text = lowered.compile().as_text()
assert " scatter(" not in text and " gather(" not in text
assert text.count(" convolution(") == 2
print("compiled")
"""


@pytest.mark.slow
def test_a_tpu_counts_and_reads_by_products():
    if why := chips.missing("v5e"):
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("compiled\n"), done.stdout + done.stderr
