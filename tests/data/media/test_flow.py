"""Flow as pictures: bytes of displacements, and x above y back to channels."""

import numpy as np
import pytest

from vidshift.data.media import encoding, flow, stacks
from vidshift.data.media.video import VideoError


def test_displacements_are_cut_at_20_pixels_and_0_is_128():
    found = flow.to_bytes(
        np.array([-np.inf, -99.0, -20.0, -10.0, 0.0, 10.0, 20.0, 99.0])
    )
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 0, 0, 64, 128, 191, 255, 255]


def test_a_byte_is_within_a_tenth_of_a_pixel():
    flows = np.linspace(-20, 20, 1001)
    back = flow.to_bytes(flows) / 255 * 40 - 20
    assert np.abs(back - flows).max() <= 0.1


LEVELS = [(40 + 10 * frame, 200 - 10 * frame) for frame in range(8)]  # x, y of a frame


@pytest.fixture(scope="module", params=["jpeg", "h264"])
def pictures(request) -> bytes:
    """Grey pictures, [2 H, W], of an x that grows and a y that shrinks."""
    frames = np.zeros((len(LEVELS), 2 * 32, 48, 3), np.uint8)
    for frame, (x, y) in zip(frames, LEVELS, strict=True):
        frame[:32], frame[32:] = x, y
    encode = encoding.encode_jpeg if request.param == "jpeg" else encoding.encode
    return encode(frames)


def levels(found: np.ndarray) -> np.ndarray:
    """[N, C], of all but the edge between x and y."""
    return found[:, 4:-4].astype(float).mean((1, 2))


def test_one_picture_is_two_channels(pictures):
    found = flow.decode(pictures, [3, 0, 3])
    assert found.shape == (3, 32, 48, 2) and found.dtype == np.uint8
    np.testing.assert_allclose(
        levels(found), [LEVELS[3], LEVELS[0], LEVELS[3]], atol=1.5
    )


def test_five_pictures_are_ten_channels(pictures):
    found = flow.decode(pictures, [0, 3], stack=5)
    assert found.shape == (2, 32, 48, 10)
    expected = [sum(LEVELS[first : first + 5], ()) for first in (0, 3)]
    np.testing.assert_allclose(levels(found), expected, atol=1.5)


def test_each_picture_is_decoded_once():
    asked = []

    def decode(source, indices, *, name):
        asked.append(list(indices))
        assert (source, name) == (b"a file", "shelf/7")
        return np.asarray(indices, np.uint8)[:, None, None, None].repeat(3, axis=-1)

    found = stacks.decode(b"a file", [4, 2, 4], stack=3, name="shelf/7", decode=decode)
    assert asked == [[2, 3, 4, 5, 6]]
    assert found[:, 0, 0].tolist() == [
        [4, 4, 4, 5, 5, 5, 6, 6, 6],
        [2, 2, 2, 3, 3, 3, 4, 4, 4],
        [4, 4, 4, 5, 5, 5, 6, 6, 6],
    ]


def test_a_stack_beyond_the_end_is_an_error(pictures):
    with pytest.raises(VideoError, match="^shelf/7: frame 8 cannot be decoded"):
        flow.decode(pictures, [4], stack=5, name="shelf/7")


def test_a_square_that_moves_right():
    cv2 = pytest.importorskip(
        "cv2", reason="OpenCV is of the extra [flow], which tests do without"
    )
    if not hasattr(cv2, "optflow"):
        pytest.skip("this OpenCV has no contributed modules (the extra [flow])")
    flow.check_installed()
    texture = np.random.default_rng(0).integers(150, 250, (24, 24, 1), np.uint8)
    frames = np.full((4, 64, 64, 3), 30, np.uint8)
    for t, frame in enumerate(frames):
        frame[20:44, 10 + 3 * t : 34 + 3 * t] = texture
    found = np.stack(list(flow.pictures(frames)))
    assert found.shape == (3, 128, 64, 3)
    assert (found == found[..., :1]).all()
    inner = found[:, :, 24:32, 0].astype(float) / 255 * 40 - 20
    np.testing.assert_allclose(inner[:, 24:40].mean((1, 2)), 3, atol=0.3)
    np.testing.assert_allclose(inner[:, 64 + 24 : 64 + 40].mean((1, 2)), 0, atol=0.3)
    assert list(flow.pictures(frames[:1])) == []
