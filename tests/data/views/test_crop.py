"""Where crops lie, and that cutting them equals Pillow's resize and crop."""

import numpy as np
import pytest
from PIL import Image

from vidshift.data.views import crop as crops


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, height, width, 3), np.uint8)


def short_side_box(height, width, *, resize, crop):
    left, top = crops.short_side_place(height, width, resize=resize, crop=crop)
    return crops.scaled_box(left, top, crop, crop, min(height, width) / resize)


def test_centre_crop_by_hand():
    # 340 x 256, short side already 256: left (340 - 224) / 2, top (256 - 224) / 2.
    box = short_side_box(256, 340, resize=256, crop=224)
    assert box == (58.0, 16.0, 282.0, 240.0)
    # Half the size: the same in halves of a pixel.
    box = short_side_box(128, 170, resize=256, crop=224)
    assert box == (29.0, 8.0, 141.0, 120.0)


def test_a_side_that_rounding_makes_shorter_is_whole():
    assert 58 / (58 / 224) < 224
    place = crops.short_side_place(58, 58, resize=224, crop=192, x=1.0, y=1.0)
    assert place == (32, 32)


def test_a_crop_of_whole_pixels_is_cut_out():
    frames = picture(40, 60)
    box = short_side_box(40, 60, resize=40, crop=32)
    got = crops.crop_resize(frames, box, 32)
    np.testing.assert_array_equal(got, frames[:, 4:36, 14:46])


def test_nothing_to_do_costs_no_copy():
    frames = picture(32, 32)
    box = short_side_box(32, 32, resize=32, crop=32)
    assert np.shares_memory(crops.crop_resize(frames, box, 32), frames)


def test_equals_resize_then_crop():
    frames = picture(60, 80)
    got = crops.crop_resize(frames, short_side_box(60, 80, resize=30, crop=24), 24)
    small = Image.fromarray(frames[0]).resize((40, 30), Image.Resampling.BILINEAR)
    expected = np.asarray(small.crop((8, 3, 32, 27)))
    # One rounding instead of two.
    assert abs(got[0].astype(int) - expected).max() <= 1


def test_random_boxes_cover_the_frame():
    rng = np.random.default_rng(0)
    boxes = np.array(
        [crops.random_box(50, 70, resize=50, crop=40, rng=rng) for _ in range(500)]
    )
    assert set(boxes[:, 0]) == set(range(31)) and set(boxes[:, 1]) == set(range(11))
    assert (boxes[:, 2] - boxes[:, 0] == 40).all()


def test_multi_scale_boxes():
    rng = np.random.default_rng(0)
    boxes = np.array([crops.multi_scale_box(100, 160, rng=rng) for _ in range(2000)])
    left, top, right, bottom = boxes.T
    assert boxes.min() >= 0 and right.max() <= 160 and bottom.max() <= 100
    sizes = {(round(w), round(h)) for w, h in zip(right - left, bottom - top)}
    # Width and height at most one step apart: 4 equal and 2 * 3 neighbouring pairs.
    assert len(sizes) == 10 and (100, 66) not in sizes and (75, 66) in sizes
    assert len(crops.PLACES) == 13
    frames = picture(100, 160)
    for box in boxes[:20]:
        assert crops.crop_resize(frames, tuple(box), 24).shape == (2, 24, 24, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: short_side_box(9, 9, resize=8, crop=10), "resize=8, crop=10"),
        (lambda: short_side_box(0, 9, resize=8, crop=8), "height=0"),
        (
            lambda: crops.multi_scale_box(
                9, 9, rng=np.random.default_rng(0), scales=(1.5,)
            ),
            "scales",
        ),
        (
            lambda: crops.crop_resize(picture(8, 8), (0.0, 0.0, 9.0, 8.0), 8),
            "8x8 frame",
        ),
        (lambda: crops.crop_resize(picture(8, 8), (0.0, 0.0, 8.0, 8.0), 0), "size"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_short_sides_are_drawn_uniformly_or_their_inverse():
    rng = np.random.default_rng(0)
    draw = lambda inverse: [
        crops.random_short_side(256, 320, inverse=inverse, rng=rng) for _ in range(4000)
    ]
    plain, inverse = draw(False), draw(True)
    assert {min(plain), min(inverse)} == {256} and {max(plain), max(inverse)} == {320}
    assert abs(np.mean(plain) - 288) < 1
    # The mean of a side whose inverse is uniform.
    mean = np.log(320 / 256) / (1 / 256 - 1 / 320)
    assert abs(np.mean(inverse) - mean) < 1 and mean < 286
